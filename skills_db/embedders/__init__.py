"""Text to unit vectors: one file each."""
