"""Tests of the judge's metrics."""
