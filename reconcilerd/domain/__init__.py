"""Facts in, decisions out. No I/O, no clock, no chance, no logging, no third party."""
