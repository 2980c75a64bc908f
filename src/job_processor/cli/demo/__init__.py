"""The demo: real workers, real jobs, and a summary from the database.

It ships with the package, since `job-processor demo` is a command of it, and the first to try.
"""
