"""The databases and questions behind `sql`."""
