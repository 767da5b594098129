"""Which models exist: manifest, signature, artifacts, reference profile."""
