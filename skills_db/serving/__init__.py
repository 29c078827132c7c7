"""Memory over HTTP: whoever reaches the port may read, and who has the token may write."""
