"""Who makes lessons of what was played, one way a file."""
