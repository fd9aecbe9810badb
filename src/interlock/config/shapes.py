"""What the blocks of `interlock.yaml` are built from: strict blocks, names, durations, rates, packages."""

import inspect
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from interlock.config.package_names import parse_package

MAX_DURATION_S = 10 * 366 * 86_400.0
_DURATION = r"\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*(ms|s|m|h|d)?\s*"
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"


def parse_duration_s(value: Any) -> float:
    """Read `90`, `1.5`, `10s`, `5m`, `2h`, `1d` or `250ms` as seconds.

    Raises:
        ValueError: the text is no duration, or it is negative, not finite or above ten years.
    """
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if found:
        seconds = float(found[1]) * _UNIT_S[found[2] or "s"]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(min(value, MAX_DURATION_S + 1))
    else:
        shown = f"'{value[:40]}'" if isinstance(value, str) and value.isprintable() else "a value that is none"
        raise ValueError(f"found {shown}; expected a duration such as 30s, 5m or 2h")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError("found a duration below zero; expected one such as 30s, 5m or 2h")
    if seconds > MAX_DURATION_S:
        raise ValueError("found a duration above ten years; expected one such as 30s, 5m or 2h")
    return seconds


def _positive_duration_s(value: Any) -> float:
    seconds = parse_duration_s(value)
    if seconds == 0:
        raise ValueError("found a duration of zero; expected one such as 30s, 5m or 2h")
    return seconds


FOREVER = "forever"
_LEAST_KEPT_S = 3600.0


def _kept_s(value: Any) -> float | None:
    """A duration of an hour or more; None for ever."""
    if value is None or value == FOREVER:
        return None
    try:
        seconds = parse_duration_s(value)
    except ValueError as error:
        raise ValueError(f"{error}, or {FOREVER}") from None
    if seconds < _LEAST_KEPT_S:
        raise ValueError(f"found less than an hour; expected a duration such as 12h or 90d, or {FOREVER}")
    return seconds


@dataclass(frozen=True)
class Rate:
    """So many in a stretch of time, as a token bucket: `burst` at once, refilled evenly.

    Attributes:
        amount: tokens that come in `per_s`.
        per_s: seconds.
        burst: the size of the bucket.
    """

    amount: float
    per_s: float
    burst: float

    @property
    def per_second(self) -> float:
        """Tokens that come in one second."""
        return self.amount / self.per_s


_RATE = r"\s*([0-9]{1,9})\s*/\s*(s|m|h|d)(?:\s+burst\s+([0-9]{1,9}))?\s*"
_RATE_EXPECTED = "expected a rate such as 10/s, 60/m or 600/h burst 20"


def parse_rate(text: str) -> Rate:
    """Read `10/s`, `60/m` or `600/h burst 20`; without a burst the bucket holds what comes in one stretch.

    Raises:
        ValueError: the text is no rate, or one of nothing.
    """
    found = re.fullmatch(_RATE, text)
    if found is None:
        raise ValueError(f"found '{text[:40]}'; {_RATE_EXPECTED}")
    amount, burst = int(found[1]), int(found[3] or found[1])
    if amount == 0 or burst == 0:
        raise ValueError(f"found a rate of nothing; {_RATE_EXPECTED}")
    return Rate(float(amount), _UNIT_S[found[2]], float(burst))


def _rate_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"found a value that is no text; {_RATE_EXPECTED}")
    parse_rate(value)
    return value


def _package_text(text: str) -> str:
    parse_package(text)
    return text


_DURATION_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION}$"}]}
)
DurationS = Annotated[float, BeforeValidator(parse_duration_s), _DURATION_SCHEMA]
PositiveDurationS = Annotated[float, BeforeValidator(_positive_duration_s), _DURATION_SCHEMA]
KeptS = Annotated[
    float | None,
    BeforeValidator(_kept_s),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": _LEAST_KEPT_S},
                {"type": "string", "pattern": f"^({FOREVER}|{_DURATION})$"},
                {"type": "null"},
            ]
        }
    ),
]
RateText = Annotated[str, BeforeValidator(_rate_text), WithJsonSchema({"type": "string", "pattern": f"^{_RATE}$"})]
PackageText = Annotated[
    str, AfterValidator(_package_text), WithJsonSchema({"type": "string", "pattern": r"^(pypi|npm):[^\s:]+$"})
]
Name = Annotated[str, Field(pattern=_NAME)]
ClassName = Literal["read", "write", "destructive"]


def describe_block(schema: dict[str, Any], block: type[BaseModel]) -> None:
    """Move what a block's docstring says of its attributes to the properties of its JSON Schema."""
    summary, _, attributes = inspect.cleandoc(block.__doc__ or "").partition("Attributes:\n")
    schema["description"] = " ".join(summary.split())
    for entry in re.split(r"\n(?=    \w)", attributes.rstrip()):
        names, _, words = entry.strip().partition(":")
        for name in names.split(", "):
            known = block.model_fields.get(name)
            found = schema.get("properties", {}).get((known and known.alias) or name)
            if found is not None:
                found["description"] = " ".join(words.split())
    for found in schema.get("properties", {}).values():
        if "patternProperties" in found:
            found["additionalProperties"] = False


class Strict(BaseModel):
    """A block that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=describe_block)
