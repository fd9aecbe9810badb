"""The servers room."""
