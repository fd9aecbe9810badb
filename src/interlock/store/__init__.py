"""Postgres: embedded server, pool, migrations, one repository per noun: all SQL of the project.

Repositories are modules of functions that take a `Transaction`; they are offered here under the name of their rows.
"""

from interlock.store import allowances as allowance_rows
from interlock.store import approvals as approval_rows
from interlock.store import audit as audit_rows
from interlock.store import calls as call_rows
from interlock.store import catalog as catalog_rows
from interlock.store import dispatch as dispatch_rows
from interlock.store import executors as executor_rows
from interlock.store import runs as run_rows
from interlock.store import tasks as task_rows
from interlock.store.allowances import Claim
from interlock.store.binaries import PostgresBinaries
from interlock.store.database import APP_ROLE, SCHEMA, Database, Row, Transaction
from interlock.store.dispatch import Segment
from interlock.store.dsn import parse_dsn
from interlock.store.embedded import Attached, EmbeddedPostgres
from interlock.store.executors import SessionLock
from interlock.store.facts import database_facts
from interlock.store.login import check_login
from interlock.store.migrating import copy_database, mark_prepared, migrate, migrations, prepared, preparing
from interlock.store.sealing import Sealer
from interlock.store.tasks import NewTask, Page

__all__ = [
    "APP_ROLE",
    "SCHEMA",
    "Attached",
    "Claim",
    "Database",
    "EmbeddedPostgres",
    "NewTask",
    "Page",
    "PostgresBinaries",
    "Row",
    "Sealer",
    "Segment",
    "SessionLock",
    "Transaction",
    "allowance_rows",
    "approval_rows",
    "audit_rows",
    "call_rows",
    "catalog_rows",
    "check_login",
    "copy_database",
    "database_facts",
    "dispatch_rows",
    "executor_rows",
    "mark_prepared",
    "migrate",
    "migrations",
    "parse_dsn",
    "prepared",
    "preparing",
    "run_rows",
    "task_rows",
]
