"""`interlock doctor`: checks everything that interlock needs, and says exactly how to put it right."""

import asyncio
import os
import sys
from dataclasses import asdict

from interlock.cli import edge
from interlock.cli.checks import check_all
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit, paint_for, progress
from interlock.cli.views.status import findings_lines


def doctor(*, project: Project = None, json: Json = False) -> int:
    """Check Python, the state folder, the database, the project, every tool server, the port, the disk and the clock.

    Exit status 0 only if every required check passes.
    """
    if not json:
        progress("checking; tool servers and the database are started for it…")
    findings = asyncio.run(check_all(folder_of(project), os.environ))
    documents = [asdict(found) for found in findings]
    passed = all(found.ok or not found.required for found in findings)
    emit({"ok": passed, "checks": documents}, findings_lines(documents, paint_for(sys.stdout)), as_json=json)
    return edge.OK if passed else edge.FAILED
