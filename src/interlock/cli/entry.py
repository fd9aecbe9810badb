"""`main`: reads the command line, runs one command, and turns whatever happens into an exit status."""

import os
import sys
from collections.abc import Sequence

from interlock.cli import edge
from interlock.cli.commands import GROUPS, build, group_page, overview, unknown_command
from interlock.model import InterlockError, UserError

_HELP = ("--help", "-h", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after `interlock`; None takes them from the process, which then also never shows a
            traceback.

    Returns:
        The exit status: 0 ok, 1 failed, 2 usage, 3 denied by policy, 4 waiting for approval, 5 unavailable.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        sys.excepthook = edge.report_unforeseen
    words = list(arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return edge.INTERRUPTED
    except BrokenPipeError:
        return _end_of_pipe()
    return status


def _run(words: list[str]) -> int:
    if not words or words[0] in _HELP:
        print("\n".join(overview()))
        return edge.OK
    if words[0] in GROUPS and (len(words) == 1 or words[1] in _HELP):
        print("\n".join(group_page(words[0])))
        return edge.OK
    as_json = "--json" in words
    broken = next((word for word in words if not _is_text(word)), None)
    if broken is not None:
        shown = broken.encode(errors="surrogateescape").decode(errors="replace")
        return edge.report_usage(f"'{shown[:60]}' is no UTF-8 text", "put it in as UTF-8", as_json=as_json)
    wrong = unknown_command(words)
    if wrong is not None:
        group = f"{words[0]} " if words[0] in GROUPS else ""
        return edge.report_usage(wrong, f"interlock {group}--help", as_json=as_json)
    try:
        return _dispatch(words, as_json=as_json)
    except InterlockError as error:
        return edge.report(error, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        edge.report(_system_error(error), as_json=as_json)
        return edge.FAILED


def _is_text(word: str) -> bool:
    """Whether the shell passed text; bytes that are none come as halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _dispatch(words: list[str], *, as_json: bool) -> int:
    """Let cyclopts read the words and call the command; a command returns its exit status, None for 0."""
    from cyclopts import CycloptsError, MissingArgumentError

    app = build()
    try:
        result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        chain = " ".join(error.command_chain or ())
        said = str(error)
        if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
            said = f"interlock {chain}: {error.argument.name} is missing"
        return edge.report_usage(said, f"interlock {chain} --help".replace("  ", " "), as_json=as_json)
    return result if isinstance(result, int) else edge.OK


def _system_error(error: OSError) -> InterlockError:
    """What the operating system refuses, as an error of ours."""
    what = error.strerror or str(error)
    return UserError(f"{error.filename}: {what}" if error.filename else what, hint="interlock doctor")


def _end_of_pipe() -> int:
    """Whoever read our output went away, as `head` does: end without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return edge.PIPE_CLOSED
