"""What the data port answers besides predictions: health, metadata, extensions, documents."""
