"""Writes what pip needs to install the locked versions without uv; used by `_bootstrap.sh`.

python scripts/_pins.py run|dev FOLDER    writes FOLDER/pins.txt and FOLDER/wanted.txt, run at the project's root
"""

import sys
import tomllib
from pathlib import Path


def main(level: str, folder: Path) -> None:
    """Write the locked versions as constraints, and what to install as requirements."""
    lock = tomllib.loads(Path("uv.lock").read_text(encoding="utf-8"))
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    pins = [
        f"{package['name']}=={package['version']}" for package in lock["package"] if "registry" in package["source"]
    ]
    extras = ",".join(project["project"].get("optional-dependencies", {}))
    wanted = [f"-e .[{extras}]", *(project["dependency-groups"]["dev"] if level == "dev" else [])]
    (folder / "pins.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    (folder / "wanted.txt").write_text("\n".join(wanted) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
