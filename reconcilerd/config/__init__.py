"""The configuration: files in, frozen settings and a policy out, every fault at once."""
