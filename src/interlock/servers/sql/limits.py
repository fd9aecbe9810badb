"""Every bound of the sql server in one place. Sizes in bytes unless the name says otherwise."""

KIB = 1024
MIB = 1024 * KIB

STATEMENT_CHARACTERS = 100_000
STATEMENTS = 100
PARAMS = 1_000
NAME_CHARACTERS = 200

ROWS = 1_000
ROWS_CAP = 10_000
RESULT_BYTES = 256 * KIB
VALUE_CHARACTERS = 8_000
BATCH_ROWS = 500
BATCH_BYTES = MIB
COUNTED_ROWS = 100_000  # how far rows beyond the result are counted for `total_rows`

TIMEOUT_S = 30.0
TIMEOUT_CAP_S = 600.0
LOCK_WAIT_S = 5.0
CONNECT_S = 10
GRACE_S = 10.0  # beyond the deadline of a call before its connection is cut

CONNECTIONS = 4
SCHEMA_TABLES = 200
SCHEMA_BYTES = 256 * KIB

SAMPLE_ROWS = 5
SAMPLE_VALUE_CHARACTERS = 200
HASHED_ROWS = 2_000_000  # a table that is dropped or emptied is hashed up to this size, beyond it only counted
SQLITE_VALUE_BYTES = 64 * MIB
