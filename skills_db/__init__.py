"""Memory: experiences and skills in SQL."""
