"""The one tree of errors: every error has a code, a sentence, a hint and says whether trying again can help.

The CLI maps it to an exit status, HTTP to a status and problem+json (RFC 9457), MCP to an error result; each in
one function. `docs/errors.md` lists every code.
"""

from typing import ClassVar

DOCS_URL = "docs/errors.md"


class InterlockError(Exception):
    """Root of the tree; never raised itself."""

    code: ClassVar[str] = "error"
    hint: ClassVar[str] = "interlock doctor"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = hint if hint is not None else type(self).hint

    @property
    def docs_url(self) -> str:
        """Where the error is explained."""
        return f"{DOCS_URL}#{self.code}"


# ---- the caller asked for something that can't be --------------------


class UserError(InterlockError):
    """The request is at fault; the same request will fail again."""

    code = "invalid_request"
    hint = "interlock --help"


class ConfigError(UserError):
    """A configuration file is wrong; the message names file, line, key and what was expected."""

    code = "config_invalid"
    hint = "correct it, then: interlock config check"


class PolicyError(UserError):
    """The policy can't be loaded, so nothing starts."""

    code = "policy_invalid"
    hint = "correct it, then: interlock config check"


class PlaybookError(UserError):
    """A playbook is wrong; the message names file, line, key and what was expected."""

    code = "playbook_invalid"
    hint = "correct it, then: interlock config check"


class UnknownAgent(UserError):
    """No agent of that name is configured."""

    code = "unknown_agent"
    hint = "interlock agents list"


class UnknownModel(UserError):
    """No model of that name is configured."""

    code = "unknown_model"
    hint = "interlock config check"


class NotFound(UserError):
    """No such task, call or approval."""

    code = "not_found"
    hint = "interlock tasks list"


class Ambiguous(UserError):
    """The id prefix fits more than one."""

    code = "ambiguous_id"
    hint = "interlock tasks list"


class Conflict(UserError):
    """What is asked does not fit the present state."""

    code = "conflict"
    hint = "interlock tasks list"


class BindingChanged(Conflict):
    """The decision names another binding than the one that waits: what was seen is not what would run."""

    code = "binding_changed"
    hint = "interlock approvals list"


class Unauthorized(UserError):
    """No token, or a wrong one."""

    code = "unauthorized"
    hint = 'set INTERLOCK_TOKEN to the content of the "token" file in INTERLOCK_HOME'


class HomeUnfit(UserError):
    """The state folder or a secret in it can't be made, is someone else's, or is open to other users."""

    code = "home_unfit"
    hint = "set INTERLOCK_HOME to a folder of your own"


# ---- the gate said no --------------------


class DeniedError(InterlockError):
    """A rule, a person or a limit refuses this."""

    code = "denied"
    hint = "interlock tasks show ID"


# ---- a bound was reached --------------------


class Exhausted(InterlockError):
    """A limit, budget or bound is used up; later, or with a higher bound, it can work."""

    code = "exhausted"
    hint = "interlock status"
    retryable = True


class RateLimited(Exhausted):
    """So many calls in so much time are enough for now; `retry_after_s` says when the next one may be made."""

    code = "rate_limited"
    hint = "wait, or set a higher rate in interlock.yaml"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class BacklogFull(Exhausted):
    """As many tasks as may wait for an agent are waiting; this one was not taken in."""

    code = "backlog_full"
    hint = "interlock tasks list"


# ---- something outside does not answer --------------------


class Unavailable(InterlockError):
    """A service that is needed does not answer; trying again can help."""

    code = "unavailable"
    hint = "interlock doctor"
    retryable = True


class DatabaseUnavailable(Unavailable):
    """Postgres can't be reached or is starting."""

    code = "database_unavailable"
    hint = "interlock doctor"


class DatabaseUnfit(UserError):
    """Postgres answers, but can't be used: too old, a wrong role, another schema."""

    code = "database_unfit"
    hint = "interlock doctor"


class ServerUnavailable(Unavailable):
    """No interlock server answers."""

    code = "server_unavailable"
    hint = "interlock up"


class PortInUse(Unavailable):
    """The port is taken by another program."""

    code = "port_in_use"
    hint = "interlock up --port 7441"
    retryable = False


class Halted(Unavailable):
    """A person has halted everything, or this agent; it goes on when that ends."""

    code = "halted"
    hint = "interlock resume"


class ToolUnavailable(Unavailable):
    """A tool server can't be started, is parked, or closed the connection before the call was sent."""

    code = "tool_unavailable"
    hint = "interlock tools list"


class InstallFailed(ToolUnavailable):
    """The package of a tool server can't be installed, or can't be started as it is."""

    code = "install_failed"
    hint = "interlock tools install"


class ToolBusy(ToolUnavailable):
    """A tool server turned a call away for now, and did nothing; `retry_after_s` is what it asked for."""

    code = "tool_busy"
    hint = "interlock tools list"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ToolWithheld(ToolUnavailable):
    """A call was not sent for a reason that is not the tool's: what it relied on has changed, or its time was over."""

    code = "tool_withheld"
    hint = "interlock tools list"


class ToolTimeout(Unavailable):
    """A tool did not answer in time; whether it acted is unknown."""

    code = "tool_timeout"
    hint = "interlock tools list"


class ToolLost(Unavailable):
    """A tool server died during a call; whether it acted is unknown."""

    code = "tool_lost"
    hint = "interlock tools list"


class ToolRefused(DeniedError):
    """The tool's definition is not the one that was accepted, or it is not granted."""

    code = "tool_refused"
    hint = "interlock tools list"


class ModelUnavailable(Unavailable):
    """A model provider does not answer, or refuses for now."""

    code = "model_unavailable"
    hint = "interlock doctor"


class ModelRefused(InterlockError):
    """A model provider rejects the request; the same request will fail again."""

    code = "model_refused"
    hint = "interlock config check"


class ModelBusy(ModelUnavailable):
    """A model provider refuses for now, because of its rate limit or load; `retry_after_s` is what it asked for."""

    code = "model_busy"
    hint = "interlock status"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class PlaybookFailed(InterlockError):
    """A playbook stopped: a step failed, or the playbook itself ends as a failure; the next run can succeed."""

    code = "playbook_failed"
    hint = "interlock tasks show ID"
    retryable = True


class MissingExtra(UserError):
    """An optional part is not installed."""

    code = "missing_extra"
    hint = "pip install 'interlock[demo]'"


# ---- our own fault, or a run that lost its lease --------------------


class Fenced(InterlockError):
    """This worker no longer holds the run; what it wanted to write is refused."""

    code = "fenced"
    hint = "nothing to do: another worker has the run"


class AuditBroken(InterlockError):
    """The audit chain does not verify, or a record can't be written; nothing runs without it."""

    code = "audit_broken"
    hint = "interlock audit verify"


class Bug(InterlockError):
    """A state that must not happen; please report it."""

    code = "bug"
    hint = "report it with the output of: interlock doctor --json"


def catalog() -> dict[str, type[InterlockError]]:
    """Every error class below the root, by code; shape `{code: class}`."""
    found: dict[str, type[InterlockError]] = {}
    pending: list[type[InterlockError]] = [InterlockError]
    while pending:
        for child in pending.pop().__subclasses__():
            if child.__module__ == __name__:
                found[child.code] = child
                pending.append(child)
    return found
