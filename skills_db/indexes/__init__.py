"""Which clusters' representatives are nearest: one file each."""
