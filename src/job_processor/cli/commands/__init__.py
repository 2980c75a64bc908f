"""The commands, one a file: its arguments and options, and what it does.

A file is imported when its command is named, and imports what that needs when it runs: neither
`--help` nor the completion of a shell waits for a database driver.
"""
