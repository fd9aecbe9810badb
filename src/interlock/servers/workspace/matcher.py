"""Matches a regular expression, in a process of its own that can be killed: a bad pattern can run for ever.

Run as a script. Standard input: one JSON object `{"pattern", "ignore_case", "limit"}`, then one JSON string per text.
Standard output: `{"error": sentence or null}`, then per text a JSON list of `[line number, offset in the line]`.
"""

import json
import re
import resource
import sys

MEMORY_BYTES = 512 * 1024 * 1024
CPU_S = 15  # longer than a search may take: only for when nobody is left to end this process


def compiled(request: dict[str, object]) -> "re.Pattern[str]":
    """The pattern, ready for use.

    Raises:
        re.error: the pattern is wrong; other errors of `re` for patterns that are too big.
    """
    flags = re.IGNORECASE if request["ignore_case"] else 0
    return re.compile(str(request["pattern"]), flags)


def found_in(pattern: "re.Pattern[str]", text: str, limit: int) -> list[tuple[int, int]]:
    """The first match of each line that has one: `(line number from 1, offset in characters)`."""
    found: list[tuple[int, int]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        match = pattern.search(line)
        if match:
            found.append((number, match.start()))
            if len(found) >= limit:
                break
    return found


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    request = json.loads(sys.stdin.readline())
    try:
        pattern = compiled(request)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        _answer({"error": str(error) or type(error).__name__})
        return
    _answer({"error": None})
    for line in sys.stdin:
        _answer(found_in(pattern, json.loads(line), request["limit"]))


def _answer(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
