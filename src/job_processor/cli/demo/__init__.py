"""`demo`: real workers, real jobs, and a summary from the database."""
