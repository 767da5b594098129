"""Figures that docs/performance.md promises, each measured by a command of its own."""
