"""Players: what acts in a world."""
