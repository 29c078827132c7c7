"""How an answer is asked for and read, one format a file."""
