"""What is never done here, whoever agrees: it would leave the transaction, the session or the database."""

import re
from collections.abc import Collection, Sequence

TRANSACTION = {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"}
SESSION = {
    "SET",
    "RESET",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "DECLARE",
    "FETCH",
    "MOVE",
    "CLOSE",
}
OUTSIDE = {"VACUUM", "CHECKPOINT"}
OUTSIDE_PAIRS = {
    ("CREATE", "DATABASE"),
    ("DROP", "DATABASE"),
    ("CREATE", "TABLESPACE"),
    ("DROP", "TABLESPACE"),
    ("CREATE", "SUBSCRIPTION"),
    ("DROP", "SUBSCRIPTION"),
    ("REINDEX", "DATABASE"),
    ("REINDEX", "SYSTEM"),
    ("COMMIT", "PREPARED"),
}
MACHINE_PAIRS = {("ALTER", "SYSTEM"): "ALTER SYSTEM", ("ALTER", "DATABASE"): "ALTER DATABASE"}
MACHINE = {"LOAD": "LOAD", "COPY": "COPY", "ATTACH": "ATTACH", "DETACH": "DETACH", "PRAGMA": "PRAGMA"}
WITH_BODY = {"DO", "CREATE"}

# Functions that reach the files, programs or configuration of the database's machine.
FILES = {
    "postgres": re.compile(
        r"pg_read_(?:binary_)?file(?:_old)?|pg_file_\w+|pg_ls_\w+|pg_stat_file|pg_logdir_ls|lo_import|lo_export"
        r"|pg_reload_conf|pg_rotate_logfile(?:_\w+)?|pg_promote|pg_current_logfile|adminpack|pg_execute_server_program"
        r"|pg_hba_file_rules|pg_ident_file_mappings|pg_show_all_file_settings",
    ),
    "sqlite": re.compile(r"load_extension|readfile|writefile|edit|fts3_tokenizer|lsmode|zipfile|fsdir|sqlite_dbpage"),
}
PROGRAM = re.compile(r"\b(?:copy\b[^;]*\bprogram|alter\s+system)\b", flags=re.IGNORECASE)


def refusal(words: Sequence[str], called: Collection[str], quoted: Sequence[str], dialect: str) -> str | None:
    """Why a statement is never done, as a sentence; None when it may be.

    Args:
        words: its first words in capitals.
        called: names of functions in it.
        quoted: its strings, which may be bodies of code.
        dialect: of the database.
    """
    return _by_words(words, dialect) or _by_functions(words, called, quoted, dialect)


def _by_words(words: Sequence[str], dialect: str) -> str | None:
    first, second = (*words[:2], "", "")[:2]
    pair = (first, second)
    if (
        first in OUTSIDE
        or pair in OUTSIDE_PAIRS
        or (first in ("CREATE", "DROP", "REINDEX") and "CONCURRENTLY" in words)
    ):
        name = " ".join([first, "... CONCURRENTLY"]) if "CONCURRENTLY" in words else " ".join(pair).strip()
        return f"{name} can't run inside a transaction, and nothing is run outside of one here."
    if first in TRANSACTION:
        return f"{first} is not taken: each call is one transaction of its own, kept only if all of it succeeds."
    if first in SESSION:
        return f"{first} is not taken: each call is a session of its own, and nothing of it remains for the next one."
    if first in MACHINE or pair in MACHINE_PAIRS:
        name = MACHINE.get(first) or MACHINE_PAIRS[pair]
        return f"{name} is never done here: it reaches beyond the tables of the database."
    if dialect == "sqlite" and first == "CREATE" and "VIRTUAL" in words and not {"FTS5", "FTS4", "RTREE"} & set(words):
        return "Only fts4, fts5 and rtree tables can be made as virtual tables here."
    return None


def _by_functions(words: Sequence[str], called: Collection[str], quoted: Sequence[str], dialect: str) -> str | None:
    files = FILES[dialect]
    found = sorted(name for name in called if files.fullmatch(name.lower()))
    if words and words[0] in WITH_BODY and not found:
        for body in quoted:
            inner = re.search(rf"\b(?:{files.pattern})\b\s*\(", body, flags=re.IGNORECASE) or PROGRAM.search(body)
            if inner:
                found = [inner.group(0).rstrip("( \n")]
                break
    if found:
        return f"{found[0]} is never called here: it reaches beyond the tables of the database."
    return None
