"""The guardrails room."""
