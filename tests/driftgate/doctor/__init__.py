"""Tests of driftgate.doctor."""
