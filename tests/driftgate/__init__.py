"""Tests of driftgate."""
