"""The command line, `up`, `demo` and what the demo needs."""
