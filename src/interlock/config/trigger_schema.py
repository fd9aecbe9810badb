"""The shape of `triggers:` in `interlock.yaml`."""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from interlock.config.environment import is_header_name
from interlock.config.pointers import parse_pointer
from interlock.config.secrets import SECRET, secret_fault
from interlock.config.shapes import PositiveDurationS, RateText, Strict

TriggerKind: TypeAlias = Literal["alertmanager", "json"]
SignatureScheme: TypeAlias = Literal["hmac-sha256", "standard-webhooks", "bearer"]
SIGNATURE_HEADER = "X-Interlock-Signature"
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_INPUT = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


def _reference(value: Any) -> str:
    """Refuse anything but a reference, without repeating it: it may be the secret itself."""
    if isinstance(value, str) and (
        _VARIABLE.fullmatch(value) or (value.startswith(SECRET) and not secret_fault(value))
    ):
        return value
    raise ValueError(f"found a value that is no reference; expected {SECRET}NAME (or ${{NAME}}), not the secret itself")


def _pointer(text: str) -> str:
    parse_pointer(text)
    return text


def _header(text: str) -> str:
    if not is_header_name(text):
        raise ValueError(f"found the header '{text[:60]}', which HTTP does not allow; expected its name")
    return text


SecretRef = Annotated[str, BeforeValidator(_reference), WithJsonSchema({"type": "string"})]
Pointer = Annotated[str, AfterValidator(_pointer)]
HeaderName = Annotated[str, AfterValidator(_header)]
InputName = Annotated[str, Field(pattern=_INPUT)]


class TriggerConfig(Strict):
    """A task that is started by a signed HTTP request of another program.

    Attributes:
        kind: `alertmanager`, or any `json`.
        agent: who does it.
        text: what to do; it is trusted, and nothing of a request is ever put into it.
        secret: what proves that a request is genuine, as `secret://NAME` or `${NAME}`.
        signature: how it is proven: `hmac-sha256` over the body, `standard-webhooks`, or `bearer` for senders that
            can't sign.
        signature_header: the header with the signature, as `sha256=HEX`; of `hmac-sha256`.
        timestamp_header: a header with the Unix time at which it was signed; then `TIME.BODY` is signed, and a request
            that is too old is refused; of `hmac-sha256`.
        id_header: a header with the name of the delivery: the same one again is the same task. It is signed only beside
            a timestamp, as `ID.TIME.BODY`.
        tolerance: how far a timestamp may be from now.
        rate: how many tasks it may start, such as `60/h burst 10`.
        inputs: what of a request the agent gets, as data: a JSON pointer for each name; by default all of it as `event`.
        optional: inputs that a request need not have.
        dedupe: JSON pointers to what makes two requests the same task, as long as that is not done; by default all inputs.
        on: of an alertmanager, what starts a task.
        each: of an alertmanager, a task for each `group` of alerts, or for each `alert`.
        remember: how long a delivery is known again.
        priority: 0 to 9; 0 goes first.
        max_duration: working time after which it is stopped.
    """

    kind: TriggerKind
    agent: str
    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    secret: SecretRef
    signature: SignatureScheme = "hmac-sha256"
    signature_header: HeaderName | None = None
    timestamp_header: HeaderName | None = None
    id_header: HeaderName | None = None
    tolerance: PositiveDurationS = 300.0
    rate: RateText = "120/h burst 30"
    inputs: Annotated[dict[InputName, Pointer], Field(min_length=1, max_length=64)] = {"event": ""}
    optional: list[str] = []
    dedupe: Annotated[list[Pointer], Field(max_length=16)] = []
    on: Literal["firing", "resolved", "both"] | None = None
    each: Literal["group", "alert"] | None = None
    remember: PositiveDurationS = 604_800.0
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    max_duration: PositiveDurationS | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> "TriggerConfig":
        if not self.text.strip():
            raise ValueError("found an empty `text`; expected what the agent shall do")
        self._check_kind()
        self._check_signature()
        unknown = [name for name in self.optional if name not in self.inputs]
        if unknown:
            raise ValueError(f"found '{unknown[0][:60]}' in `optional`; expected names of `inputs`")
        return self

    def _check_kind(self) -> None:
        if self.kind == "alertmanager" and self.dedupe:
            raise ValueError(
                "found `dedupe` beside `kind: alertmanager`, whose groups have keys; expected `each`, or none"
            )
        stray = [key for key in ("on", "each") if getattr(self, key) is not None]
        if self.kind == "json" and stray:
            raise ValueError(f"found `{stray[0]}` beside `kind: json`; expected it beside `kind: alertmanager`")

    def _check_signature(self) -> None:
        given = [key for key in ("signature_header", "timestamp_header") if getattr(self, key) is not None]
        if self.signature != "hmac-sha256" and given:
            raise ValueError(f"found `{given[0]}` beside `signature: {self.signature}`; expected it beside hmac-sha256")
        if self.signature == "standard-webhooks" and self.id_header is not None:
            raise ValueError("found `id_header` beside `signature: standard-webhooks`, which has one; expected none")
        if "tolerance" in self.model_fields_set and not self.is_timed:
            raise ValueError("found `tolerance` without a timestamp; expected `timestamp_header`, or standard-webhooks")
        names = [
            name.lower() for name in (self.proof_header, self.timestamp_header, self.id_header) if name is not None
        ]
        if len(set(names)) < len(names):
            raise ValueError("found the same header for two purposes; expected different ones")

    @property
    def is_timed(self) -> bool:
        """Whether requests say when they were signed."""
        return self.signature == "standard-webhooks" or self.timestamp_header is not None

    @property
    def proof_header(self) -> str:
        """The header that holds the proof."""
        named = {"bearer": "Authorization", "standard-webhooks": "webhook-signature"}
        return named.get(self.signature) or self.signature_header or SIGNATURE_HEADER
