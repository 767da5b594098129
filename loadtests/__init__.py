"""Load tests and benchmarks; none of it is installed."""
