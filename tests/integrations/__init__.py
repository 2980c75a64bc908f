"""Tests of the integrations, against the real tools."""
