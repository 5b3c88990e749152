"""The command line. Imports late, so that a question to a running daemon costs milliseconds."""
