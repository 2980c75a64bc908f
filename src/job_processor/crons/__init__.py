"""Crons: planned into the queue, owned by a service, listed and run by hand."""
