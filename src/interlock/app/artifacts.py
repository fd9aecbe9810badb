"""What tools answered beyond what a model reads, for people: only by way of the call that it is an answer to."""

from typing import Any

from interlock.model import Ambiguous, NotFound
from interlock.store import Database, call_rows, catalog_rows, task_rows

LEAST_CHARS = 4


async def artifact_of(database: Database, call_id: str, sha256: str) -> tuple[dict[str, Any], bytes]:
    """An artifact of a call: `{sha256, mime, size_bytes, name}` and its bytes.

    Args:
        database: where it is.
        call_id: of the call, or a part of it that only it has.
        sha256: of the artifact, or the beginning of it.

    Raises:
        NotFound: the call has no such artifact, or the bytes are not kept any more.
        Ambiguous: more than one of its artifacts begins like that.
    """
    async with database.transaction() as tx:
        whole = await task_rows.resolve_id(tx, "call", call_id)
        kept = ((await call_rows.get(tx, whole)).result or {}).get("artifacts", [])
        hint = f"interlock calls show {whole}"
        found = [entry for entry in kept if len(sha256) >= LEAST_CHARS and entry["sha256"].startswith(sha256.lower())]
        if len({entry["sha256"] for entry in found}) > 1:
            raise Ambiguous(f"'{sha256[:64]}' fits more than one artifact of the call: give more characters", hint=hint)
        if not found:
            raise NotFound(f"the call has no artifact '{sha256[:64]}'", hint=hint)
        body = await catalog_rows.blob(tx, found[0]["sha256"])
    if body is None:
        raise NotFound(f"the artifact {found[0]['sha256']} is not kept any more", hint=hint)
    return found[0], body
