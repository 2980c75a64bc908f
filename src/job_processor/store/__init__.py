"""The one room that talks to a database: an interface and an implementation per database."""

from job_processor.store.base import Store

__all__ = ["Store"]
