"""Who plays, one kind of player a file."""
