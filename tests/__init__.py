"""Tests, mirroring the packages; each says its rule in one sentence."""
