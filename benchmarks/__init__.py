"""Measures this package beside its peers, and beside what the databases can do."""
