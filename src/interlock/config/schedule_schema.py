"""The shape of `schedules:` in `interlock.yaml`."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from interlock.config.shapes import DurationS, PositiveDurationS, Strict
from interlock.config.timing import Timing, cron_fault, timezone_fault

Misfire: TypeAlias = Literal["skip", "once", "catch_up"]
Overlap: TypeAlias = Literal["skip", "queue", "cancel_old"]
LEAST_STEP_S = 1.0


class ScheduleConfig(Strict):
    """A task that is submitted again and again.

    Attributes:
        agent: who does it.
        text: what to do.
        inputs: as data; `tick`, the moment that it is for, comes with them.
        cron: when, as `minute hour day month weekday`: `0 6 * * MON-FRI`.
        every: instead of `cron`, the time from one to the next, such as 15m; at whole multiples of it since 1970 (UTC).
        timezone: of `cron`, such as Europe/Berlin.
        jitter: each one comes up to so much later.
        misfire: what becomes of those that nobody was there to submit: all `skip`ped, one for all (`once`), or each
            (`catch_up`, the last hundred of a week at most).
        grace: how late one may be before it counts as missed.
        overlap: when the one before is not done: `skip` it, `queue` it until it is, or `cancel_old`.
        priority: 0 to 9; 0 goes first.
        max_duration: working time after which it is stopped.
    """

    agent: str
    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    inputs: dict[str, Any] = {}
    cron: str | None = None
    every: PositiveDurationS | None = None
    timezone: str = "UTC"
    jitter: DurationS = 0.0
    misfire: Misfire = "once"
    grace: PositiveDurationS = 60.0
    overlap: Overlap = "skip"
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    max_duration: PositiveDurationS | None = None

    @field_validator("cron")
    @classmethod
    def _cron(cls, text: str | None) -> str | None:
        fault = cron_fault(text) if text is not None else None
        if fault:
            raise ValueError(f"found '{(text or '')[:60]}'; {fault}")
        return text

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, text: str) -> str:
        fault = timezone_fault(text)
        if fault:
            raise ValueError(f"found '{text[:60]}'; {fault}")
        return text

    @model_validator(mode="after")
    def _one_timing(self) -> "ScheduleConfig":
        if (self.cron is None) == (self.every is None):
            found = "neither `cron` nor `every`" if self.cron is None else "both `cron` and `every`"
            raise ValueError(f"found {found}; expected one of them")
        if self.every is not None:
            if self.every < LEAST_STEP_S:
                raise ValueError(f"found `every` below {LEAST_STEP_S:g} s; expected more")
            if self.timezone != "UTC":
                raise ValueError("found `timezone` beside `every`, whose steps have none; expected it beside `cron`")
        if self.jitter and self.jitter >= self.timing("").least_gap_s:
            raise ValueError("found a `jitter` as long as the time from one to the next; expected a shorter one")
        if not self.text.strip():
            raise ValueError("found an empty `text`; expected what the agent shall do")
        return self

    def timing(self, name: str) -> Timing:
        """When it is due."""
        return Timing(name, self.cron, self.every, self.timezone, self.jitter)
