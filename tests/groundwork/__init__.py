"""Tests of groundwork."""
