"""One family of programs a file; the file's name is the family's name."""
