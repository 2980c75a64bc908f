"""Parameters that are fields of the payload: what may be stored of each, and what it becomes.

`kinds` and `containers` know what stores keep or JSON writes; classes of pydantic and msgspec are
their libraries' affair, as in `handlers.payloads`.
"""

from job_processor.handlers.fields.annotations import plain_of
from job_processor.handlers.fields.fields import Fields

__all__ = ["Fields", "plain_of"]
