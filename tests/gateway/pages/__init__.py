"""Tests of gateway.pages."""
