"""The command line: parse, call the public functions, print. Logic found here is a bug."""
