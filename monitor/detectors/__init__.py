"""Detectors: each turns blocks of one model version into log-evidence per signal."""
