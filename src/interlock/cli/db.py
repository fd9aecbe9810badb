"""`interlock db`: the database."""

import asyncio
import os

from interlock.cli import edge
from interlock.cli.options import Json, Project, folder_of
from interlock.cli.output import emit
from interlock.config import Settings


def migrate(*, project: Project = None, json: Json = False) -> int:
    """Bring the database up to date, as its owner; `up` and `worker` do it by themselves when they start."""
    from interlock.app import examine_database
    from interlock.config import load_project

    settings = Settings.from_env(os.environ)
    found = load_project(folder_of(project), os.environ)
    kind, facts, _ = asyncio.run(examine_database(settings, found, os.environ))
    document = {"up_to_date": True, "kind": kind, "postgres": facts.version, "role": facts.role}
    emit(document, [f"the {kind} database (PostgreSQL {facts.version}) is up to date"], as_json=json)
    return edge.OK
