"""Tests of gateway.protocols."""
