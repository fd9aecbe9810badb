"""Writes `docs/errors.md` from the error tree: every code, what happened, what to do, whether trying again helps.

python scripts/errors_doc.py            write docs/errors.md
python scripts/errors_doc.py --check    exit 1 if the committed page differs
"""

import argparse
import inspect
import sys
from pathlib import Path

from interlock.model import (
    Bug,
    DeniedError,
    Exhausted,
    InterlockError,
    Unavailable,
    UserError,
    catalog,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

HEAD = """# Errors

<!-- Written by scripts/errors_doc.py from src/interlock/model/errors.py; change it there, not here. -->

Every error has a code, a sentence that says what happened, and a `hint:` with the next command to type. The command
line, the HTTP API (as `application/problem+json`) and the tools report the same code and the same hint. An error that
is *retryable* may go away by itself, so trying the same thing again can help; any other fails again until something is
changed.

"""

# the families of the tree, most telling first
FAMILIES: tuple[tuple[type[InterlockError], str], ...] = (
    (UserError, "the request is at fault"),
    (DeniedError, "the gate said no"),
    (Exhausted, "a bound was reached"),
    (Unavailable, "something outside does not answer"),
    (Bug, "our own fault"),
)
COMMANDS = ("interlock ", "pip ", "uv ", "export ")


def family(error: type[InterlockError]) -> str:
    """What kind of error it is, in words."""
    return next((words for base, words in FAMILIES if issubclass(error, base)), "the run can't go on")


def advice(hint: str) -> str:
    """The hint, as code where it is a command to type."""
    if hint.startswith(COMMANDS):
        return f"run `{hint}`"
    return hint


def section(error: type[InterlockError]) -> str:
    """One error; its heading is the anchor that `docs_url` points to."""
    happened = " ".join(inspect.cleandoc(error.__doc__ or "").split())
    again = "can help" if error.retryable else "does not help"
    return (
        f"## {error.code}\n\n"
        f"{happened}\n\n"
        f"- **What to do:** {advice(error.hint)}\n"
        f"- **Retryable:** {'yes' if error.retryable else 'no'}; trying the same thing again {again}\n"
        f"- **Kind:** {family(error)} (`{error.__name__}`)\n"
    )


def render() -> str:
    """The whole page."""
    errors = [error for _, error in sorted(catalog().items())]
    rows = [f"| [`{e.code}`](#{e.code}) | {family(e)} | {'yes' if e.retryable else 'no'} |" for e in errors]
    table = "\n".join(["| code | kind | retryable |", "|---|---|---|", *rows])
    return HEAD + table + "\n\n" + "\n".join(section(error) for error in errors)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with the committed one; returns the exit status."""
    parser = argparse.ArgumentParser(description="Writes docs/errors.md from the error tree.")
    parser.add_argument("--check", action="store_true", help="compare with the committed page instead")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(render(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == render():
        return 0
    print("docs/errors.md is not what scripts/errors_doc.py writes", file=sys.stderr)
    print("hint: python scripts/errors_doc.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
