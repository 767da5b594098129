"""Tests of prediction_log."""
