"""Tests of driftgate.cli."""
