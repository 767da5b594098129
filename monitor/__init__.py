"""What changed: the log in, incidents and signed webhooks out."""
