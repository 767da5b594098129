"""Tests of the gRPC port."""
