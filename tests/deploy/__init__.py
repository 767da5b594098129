"""Tests of what is shipped: images, manifests, alert rules."""
