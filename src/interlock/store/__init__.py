"""Postgres: embedded server, pool, migrations, one repository per noun: all SQL of the project.

Repositories are modules of functions that take a `Transaction`; they are offered here under the name of their rows.
"""

from interlock.store import admission as admission_rows
from interlock.store import agent_tokens as token_rows
from interlock.store import allowances as allowance_rows
from interlock.store import approvals as approval_rows
from interlock.store import audit as audit_rows
from interlock.store import backlog as backlog_rows
from interlock.store import breakers as breaker_rows
from interlock.store import cached_reads as cached_rows
from interlock.store import call_path as path_rows
from interlock.store import calls as call_rows
from interlock.store import catalog as catalog_rows
from interlock.store import declines as decline_rows
from interlock.store import dispatch as dispatch_rows
from interlock.store import executors as executor_rows
from interlock.store import families as family_rows
from interlock.store import hosts as host_rows
from interlock.store import parking as parking_rows
from interlock.store import rates as rate_rows
from interlock.store import retention as retention_rows
from interlock.store import runs as run_rows
from interlock.store import schedules as schedule_rows
from interlock.store import segment_path as segment_rows
from interlock.store import server_credentials as credential_rows
from interlock.store import sightings as sighting_rows
from interlock.store import tasks as task_rows
from interlock.store import triggers as trigger_rows
from interlock.store import versions as version_rows
from interlock.store.admission import Admission
from interlock.store.agent_tokens import AgentToken
from interlock.store.allowances import FOREVER, Claim
from interlock.store.binaries import PostgresBinaries
from interlock.store.breakers import BreakerRow
from interlock.store.cached_reads import CachedLook
from interlock.store.call_path import SERVICE, AuditRow, Beginning, CallFacts, Ending
from interlock.store.catalog import Count
from interlock.store.database import APP_ROLE, SCHEMA, Database, Row, Transaction
from interlock.store.declines import DeclinedCall
from interlock.store.dispatch import Segment
from interlock.store.dsn import parse_dsn
from interlock.store.embedded import Attached, EmbeddedPostgres
from interlock.store.executors import Arrival, SessionLock
from interlock.store.facts import database_bytes, database_facts, transactions
from interlock.store.login import check_login
from interlock.store.migrating import copy_database, mark_prepared, migrate, migrations, prepared, preparing
from interlock.store.rates import Bucket, Shortage
from interlock.store.retention import Forgotten
from interlock.store.schedules import ScheduleRow
from interlock.store.sealing import Sealer
from interlock.store.segment_path import Known, Move
from interlock.store.sightings import Sighting
from interlock.store.tasks import NewTask, Page
from interlock.store.triggers import TriggerRow
from interlock.store.versions import AppliedVersion, Standing

__all__ = [
    "APP_ROLE",
    "FOREVER",
    "SCHEMA",
    "SERVICE",
    "Admission",
    "AgentToken",
    "AppliedVersion",
    "Arrival",
    "Attached",
    "AuditRow",
    "Beginning",
    "BreakerRow",
    "Bucket",
    "CachedLook",
    "CallFacts",
    "Claim",
    "Count",
    "Database",
    "DeclinedCall",
    "EmbeddedPostgres",
    "Ending",
    "Forgotten",
    "Known",
    "Move",
    "NewTask",
    "Page",
    "PostgresBinaries",
    "Row",
    "ScheduleRow",
    "Sealer",
    "Segment",
    "SessionLock",
    "Shortage",
    "Sighting",
    "Standing",
    "Transaction",
    "TriggerRow",
    "admission_rows",
    "allowance_rows",
    "approval_rows",
    "audit_rows",
    "backlog_rows",
    "breaker_rows",
    "cached_rows",
    "call_rows",
    "catalog_rows",
    "check_login",
    "copy_database",
    "credential_rows",
    "database_bytes",
    "database_facts",
    "decline_rows",
    "dispatch_rows",
    "executor_rows",
    "family_rows",
    "host_rows",
    "mark_prepared",
    "migrate",
    "migrations",
    "parking_rows",
    "parse_dsn",
    "path_rows",
    "prepared",
    "preparing",
    "rate_rows",
    "retention_rows",
    "run_rows",
    "schedule_rows",
    "segment_rows",
    "sighting_rows",
    "task_rows",
    "token_rows",
    "transactions",
    "trigger_rows",
    "version_rows",
]
