"""Reading a JSON body: bounded in size, time and depth, and every fault names its place.

What the parser lets through must be storable: no duplicate keys, no NaN, no whole number that a double can't hold,
no zero character or half of a surrogate pair, which neither Postgres nor a canonical hash can take.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from interlock.model import UserError
from interlock.server.problems import Refusal, faults
from interlock.server.schemas import Body

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 30.0
MAX_DEPTH = 64
MAX_WHOLE_NUMBER: Final = 2**53 - 1
_JSON_HINT = "send it as UTF-8 with the header: Content-Type: application/json"

AnyBody = TypeVar("AnyBody", bound=Body)


def body_of(model: type[AnyBody]) -> Callable[[Request], Awaitable[AnyBody]]:
    """A dependency that reads the request's body as this model; no body at all counts as `{}`.

    It is a dependency, and not FastAPI's own body parameter, so that nothing is read before the token was checked.
    """

    async def read(request: Request) -> AnyBody:
        data = await read_json(request)
        try:
            return model.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            raise UserError(faults(errors, list(model.model_fields)), hint=model.hint) from None

    return read


async def read_json(request: Request) -> Any:
    """The request's body as JSON; `{}` if it has none.

    Raises:
        Refusal: it is too large, too slow, no JSON or no UTF-8.
        UserError: it is JSON that can't be stored; the message names the place.
    """
    raw = await read_bytes(request, MAX_BODY_BYTES)
    if not raw:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, f"the body is declared as {kind[:100] or 'nothing'}, not as application/json", _JSON_HINT)
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """A body as JSON that can be stored.

    Raises:
        Refusal: it is no JSON or no UTF-8.
        UserError: it is JSON that can't be stored; the message names the place.
    """
    try:
        data = json.loads(raw.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is no UTF-8 at byte {error.start}", _JSON_HINT) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise Refusal(400, f"the body is no JSON at {place}: {error.msg}", _JSON_HINT) from None
    except RecursionError:
        raise UserError(f"body: nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError("body: it holds a number that is far too long") from error
    check_storable(data)
    return data


async def read_bytes(request: Request, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes.

    Raises:
        Refusal: it is too large or too slow.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise Refusal(408, f"the body was not complete after {BODY_TIMEOUT_S:g} s", "send it again") from None
    except ClientDisconnect:
        raise Refusal(400, "the connection ended before the body was complete", "send it again") from None
    return b"".join(chunks)


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the body is larger than {limit} bytes", "put large data into a file of the workspace")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{_shown(twice)}: given twice; expected every key once")
    return found


def _no_constant(name: str) -> Any:
    raise UserError(f"body: {name} is no JSON; expected a finite number or null")


def check_storable(data: Any) -> None:
    """Walk over a document without recursion; the first value that can't be stored is an error with its place.

    Raises:
        UserError: there is one.
    """
    pending: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if len(path) > MAX_DEPTH:
            raise UserError(f"body: nested deeper than {MAX_DEPTH} levels")
        fault = _fault(value)
        if fault is not None:
            raise UserError(f"{'.'.join(path) or 'body'}: {fault}")
        if isinstance(value, dict):
            for key in value:
                if _text_fault(key) is not None:
                    raise UserError(f"{'.'.join([*path, _shown(key)])}: the key {_text_fault(key)}")
            pending += [((*path, _shown(key)), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            pending += [((*path, str(place)), inner) for place, inner in enumerate(value)]


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is too large"
    if isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER:
        return f"the whole number is beyond {MAX_WHOLE_NUMBER}; send it as a text"
    return None


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "holds a zero character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair"
    return None


def _shown(key: str) -> str:
    return key[:100].encode("ascii", "backslashreplace").decode().replace("\0", "\\0")
