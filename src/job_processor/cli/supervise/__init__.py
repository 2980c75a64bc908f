"""Worker processes: one, several or a reloaded one; their signals, their log, their end."""
