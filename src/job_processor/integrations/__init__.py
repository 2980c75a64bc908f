"""Ties to the tools that applications are watched with, one file each; each has an extra."""
