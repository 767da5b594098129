"""What keeps an installation healthy: looking, repairing, copying and bringing copies back."""
