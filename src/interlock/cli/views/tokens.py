"""Tokens as lines."""

import datetime
from typing import Any

from interlock.cli.output import Paint, table
from interlock.cli.words import age, moment


def tokens_table(items: list[dict[str, Any]], now: datetime.datetime, paint: Paint, width: int | None) -> list[str]:
    """Who may call from outside."""
    if not items:
        return ["no agent outside has a token", "", "next: interlock tokens create --agent AGENT --expires 30d"]
    rows = [
        [
            item["id"],
            item["agent"],
            item["state"],
            age(item["created_at"], now),
            age(item["used_at"], now) if item["used_at"] else "never",
            moment(item["expires_at"]) if item["expires_at"] else "never",
        ]
        for item in items
    ]
    return table(["id", "agent", "state", "made", "used", "expires"], rows, paint, width)


def new_token_lines(made: dict[str, Any], url: str, paint: Paint) -> list[str]:
    """A token that was just made, and what to do with it."""
    return [
        paint(made["token"], "bold"),
        "",
        f"It is for the agent {made['agent']}, and is shown only now. Give it to an MCP client as a bearer token:",
        f"  {url}   Authorization: Bearer {made['token'][:8]}…",
        f"next: interlock tokens list   or   interlock tokens revoke {made['id']}",
    ]
