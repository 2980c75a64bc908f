"""What a handler says its payload is: checked when a job is made, converted when it runs.

A pydantic model is pydantic's affair; dataclasses, TypedDicts and msgspec Structs are msgspec's.
Anything else (no annotation, a plain mapping) is taken as it comes.
"""

from job_processor.handlers.payloads.annotations import class_type, payload_type
from job_processor.handlers.payloads.base import PARAMETER, PayloadType, TypedPayload

__all__ = ["PARAMETER", "PayloadType", "TypedPayload", "class_type", "payload_type"]
