"""Writes `docs/recorded-run-v1.schema.json`, the JSON Schema of a line of a recorded run, from its models.

python scripts/recorded_run_schema.py            write it
python scripts/recorded_run_schema.py --check    exit 1 if the committed file differs
"""

import argparse
import json
import sys
from pathlib import Path

from interlock.model import recorded_run_schema

FILE = Path(__file__).resolve().parent.parent / "docs" / "recorded-run-v1.schema.json"


def render() -> str:
    """The whole file."""
    return json.dumps(recorded_run_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or compare it with the committed one; returns the exit status."""
    parser = argparse.ArgumentParser(description="Writes the JSON Schema of recorded runs.")
    parser.add_argument("--check", action="store_true", help="compare with the committed file instead")
    if not parser.parse_args(arguments).check:
        FILE.write_text(render(), encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == render():
        return 0
    print("docs/recorded-run-v1.schema.json is not what scripts/recorded_run_schema.py writes", file=sys.stderr)
    print("hint: python scripts/recorded_run_schema.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
