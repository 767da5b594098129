"""Tests of driftgate.demo."""
