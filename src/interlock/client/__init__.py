"""The typed Python client of the HTTP API, once for ordinary and once for async programs."""

from interlock.client.async_client import AsyncClient
from interlock.client.shapes import (
    Approval,
    Call,
    Chain,
    Delivered,
    Halted,
    Status,
    Submitted,
    Task,
    TaskEvent,
    TaskPage,
    TaskStory,
    Token,
    Undoing,
)
from interlock.client.sync_client import Client

__all__ = [
    "Approval",
    "AsyncClient",
    "Call",
    "Chain",
    "Client",
    "Delivered",
    "Halted",
    "Status",
    "Submitted",
    "Task",
    "TaskEvent",
    "TaskPage",
    "TaskStory",
    "Token",
    "Undoing",
]
