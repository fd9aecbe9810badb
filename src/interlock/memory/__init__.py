"""What agents remember: so far the short-term memory that one run of a task hands to the next."""

from interlock.memory.short_term import note_of_failure

__all__ = ["note_of_failure"]
