"""Tests of the load tests: their verdicts, and that they measure what they say."""
