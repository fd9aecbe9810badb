"""The observability room."""
