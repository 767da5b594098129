"""The whole ring in one command: a small world that changes, and the product reacting to it."""
