"""What the gateway knows of agents outside: who one is by its token, its tools under their public names, its calls."""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from interlock.config import Project, token_id
from interlock.guardrails import class_of, contract_of
from interlock.model import (
    MODEL_NAME_LIMIT,
    ActionClass,
    ActOutcome,
    Approval,
    ToolDefinition,
    ToolRef,
    Unauthorized,
    canonical_sha256,
)
from interlock.orchestrator import OutsideRuns
from interlock.store import AgentToken, Database, token_rows

GATEWAY = "gateway-"  # how the names of servers begin that hold tasks of agents outside
TOKEN_TRUST_S = 2.0  # how long a revoked token may still do
CATALOGUE_TRUST_S = 5.0  # names only: what may be called is checked in each call
MISSING_TRUST_S = 1.0  # a name that is not among them may be new
MAX_KNOWN = 1000
STATE_PURPOSE = b"interlock gateway request state 1"
SHORTEST_STATE_S = 600.0


@dataclass(frozen=True)
class OfferedTool:
    """A tool as an agent outside sees it; `name` is unique among those that it sees."""

    name: str
    definition: ToolDefinition
    action_class: ActionClass
    egress: bool
    idempotent: bool
    checked_output: bool  # results always fit the schema, or making the call again does no harm


@dataclass(frozen=True)
class OutsideAgent:
    """Who calls, by its token; `id` is the part of the token that is no secret."""

    token: AgentToken

    @property
    def id(self) -> str:
        """Of the token."""
        return self.token.id


@dataclass(frozen=True)
class MadeCall:
    """A call and what became of it, as far as it goes."""

    id: str
    number: int
    outcome: ActOutcome


@dataclass(frozen=True)
class Catalogue:
    """The tools of one agent, in the order of their names."""

    tools: tuple[OfferedTool, ...]
    by_name: dict[str, OfferedTool]
    read_s: float


@dataclass
class Gateway:
    """The way in for agents outside.

    Attributes:
        runs: the tasks and calls behind it.
        state_key: seals what a client carries from one round of a call to the next; 32 bytes.
    """

    database: Database
    project: Project
    runs: OutsideRuns
    state_key: bytes = field(repr=False)
    _known: OrderedDict[bytes, tuple[float, OutsideAgent]] = field(default_factory=OrderedDict, repr=False)
    _catalogues: dict[str, Catalogue] = field(default_factory=dict, repr=False)
    _reading: dict[str, asyncio.Lock] = field(default_factory=dict, repr=False)

    @property
    def state_ttl_s(self) -> float:
        """How long a client may wait for a person: as long as the longest question stays open."""
        return max([SHORTEST_STATE_S, *(agent.approval_ttl for agent in self.project.config.agents.values())])

    async def who(self, text: str) -> OutsideAgent:
        """Whose token this is; one that was found is believed for two seconds.

        Raises:
            Unauthorized: it is none of an agent outside, was revoked, or has expired.
        """
        if token_id(text) is None:
            raise Unauthorized("this is no access token, or a part of it is missing", hint=_TOKEN_HINT)
        digest = hashlib.sha256(text.encode()).digest()
        found = self._known.get(digest)
        if found is not None and time.monotonic() - found[0] < TOKEN_TRUST_S:
            return found[1]
        self._known.pop(digest, None)
        asked_s = time.monotonic()
        async with self.database.transaction() as tx:
            token = await token_rows.find(tx, text)
        if token is None:
            raise Unauthorized(
                "the token is not one of an agent outside, was revoked, or has expired", hint=_TOKEN_HINT
            )
        agent = OutsideAgent(token)
        self._known[digest] = (asked_s, agent)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return agent

    async def tools(self, agent: OutsideAgent) -> tuple[OfferedTool, ...]:
        """The tools of an agent, as they are now.

        Raises:
            Unauthorized: the agent is not configured any more.
            Unavailable: a required server is not ready.
        """
        return (await self._read(agent.token, 0.0)).tools

    async def tool(self, agent: OutsideAgent, name: str) -> OfferedTool | None:
        """One of them by its public name, if there is one."""
        known = await self._read(agent.token, CATALOGUE_TRUST_S)
        if name not in known.by_name:
            known = await self._read(agent.token, MISSING_TRUST_S)
        return known.by_name.get(name)

    def known_schema(self, agent: OutsideAgent, name: str) -> dict[str, Any] | None:
        """The input schema of a tool, if its agent's tools were read lately."""
        catalogue = self._catalogues.get(agent.token.agent)
        found = catalogue.by_name.get(name) if catalogue else None
        return found.definition.input_schema if found else None

    async def call(
        self, agent: OutsideAgent, tool: OfferedTool, args: dict[str, Any], call_id: str | None = None
    ) -> MadeCall:
        """Make a call, or go on with one; see `OutsideRuns.call`."""
        answer = await self.runs.call(agent.token, tool.definition.ref, args, call_id)
        return MadeCall(answer.call_id, answer.call_no, answer.outcome)

    def told(self, agent: OutsideAgent, call_id: str) -> None:
        """The agent has heard how a call ended."""
        self.runs.told(agent.token, call_id)

    async def question(self, approval_id: str) -> Approval:
        """What a call waits for."""
        return await self.runs.question(approval_id)

    async def decided(self, approval_id: str, patience_s: float) -> bool:
        """Wait until a question is answered; False if it is not after `patience_s`."""
        return await self.runs.decided(approval_id, patience_s)

    async def _read(self, token: AgentToken, trust_s: float) -> Catalogue:
        lock = self._reading.setdefault(token.agent, asyncio.Lock())
        asked_s = time.monotonic()
        async with lock:
            known = self._catalogues.get(token.agent)
            if known is not None and known.read_s > asked_s - trust_s:
                return known
            read_s = time.monotonic()
            definitions = await self.runs.tools(token)
            offered = [self._offered(name, definition) for name, definition in public_names(definitions)]
            known = Catalogue(tuple(offered), {tool.name: tool for tool in offered}, read_s)
            self._catalogues[token.agent] = known
            return known

    def _offered(self, name: str, definition: ToolDefinition) -> OfferedTool:
        server = self.project.config.tools[definition.ref.server]
        contract = contract_of(server, definition.ref.name)
        action_class, _ = class_of(definition, contract, trusted_hints=server.trusted_hints)
        return OfferedTool(
            name,
            definition,
            action_class,
            contract.egress is not False,
            contract.idempotent or action_class is ActionClass.READ,
            action_class is ActionClass.READ and not contract.fallbacks,
        )


def public_names(definitions: Sequence[ToolDefinition]) -> list[tuple[str, ToolDefinition]]:
    """A name of at most 64 characters for each tool, by which they are sorted.

    It is the tool's usual one. Where two would have the same, both get a longer hash, so that the name of a tool does
    not depend on which of them is listed first.
    """
    usual: dict[str, list[ToolDefinition]] = {}
    for definition in definitions:
        if not definition.internal:
            usual.setdefault(definition.ref.model_name, []).append(definition)
    named = [
        (name if len(found) == 1 else _longer(definition.ref), definition)
        for name, found in usual.items()
        for definition in found
    ]
    return sorted(named, key=lambda one: one[0])


def _longer(ref: ToolRef) -> str:
    plain = f"{ref.server}__{ref.name}"
    return f"{plain[: MODEL_NAME_LIMIT - 33]}_{canonical_sha256(str(ref))[:32]}"


def state_key_of(data_key: bytes) -> bytes:
    """The key that seals what clients carry, out of the one that encrypts what is stored."""
    return hmac.new(data_key, STATE_PURPOSE, hashlib.sha256).digest()


_TOKEN_HINT = "interlock tokens create --agent AGENT"
