"""Benchmarks against a hand-written server and against peers, as ratios in one run."""
