"""Calls to a server that keeps nothing between requests: one HTTP request each, whose answer holds the result.

The SDK carries a message through queues and tasks that such a server has no use for. What is on the wire is the same:
MCP 2026-07-28, "Streamable HTTP", with the SDK's own rules for headers.
"""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
from mcp import Client, MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.types import (
    CONNECTION_CLOSED,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    methods,
)

from interlock.tools.remote_bodies import EVENT_STREAM, MESSAGE_BYTES
from interlock.tools.remote_http import RemoteClient, posting
from interlock.tools.sending import Sending

if TYPE_CHECKING:
    from interlock.model import ToolDefinition

_CALL = "tools/call"
_JSON = "application/json"
_KEPT_MAPS = 1000  # as many as a server may have tools
_FIRST = 1 << 20  # far from the numbers that the SDK gives


@dataclass
class Straight:
    """The way of calls to one server.

    Attributes:
        http: the client, which notes the trouble of a call on its `Sending`.
        url: of the server.
        version: of the protocol, as agreed.
        meta: what each request says of who asks.
    """

    http: RemoteClient
    url: httpx2.URL
    version: str
    meta: Mapping[str, Any]
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(_FIRST))
    _maps: dict[str, dict[tuple[str, ...], str]] = field(default_factory=dict)

    @classmethod
    def of(cls, http: RemoteClient, url: httpx2.URL, client: Client) -> "Straight | None":
        """The way to a server that was shaken hands with, or None if it keeps sessions."""
        session = client.session
        if session.discover_result is None or session.protocol_version is None:
            return None
        who = client.client_info.model_dump(by_alias=True, mode="json", exclude_none=True) if client.client_info else {}
        meta = {
            PROTOCOL_VERSION_META_KEY: session.protocol_version,
            CLIENT_INFO_META_KEY: who,
            CLIENT_CAPABILITIES_META_KEY: {},
        }
        return cls(http, url, session.protocol_version, meta)

    async def call(
        self, tool: "ToolDefinition", args: dict[str, Any], meta: Mapping[str, Any], sending: Sending
    ) -> dict[str, Any] | None:
        """Send a call and wait for its result as it came; None, with nothing done, if the server is elsewhere now.

        Raises:
            MCPError: the server answers with an error, or there is no answer; `sending` tells which.
            ValueError: the result is none.
        """
        number = next(self._numbers)
        params = {"name": tool.ref.name, "arguments": args, "_meta": {**meta, **self.meta}}
        message = {"jsonrpc": "2.0", "id": number, "method": _CALL, "params": params}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        request = httpx2.Request("POST", self.url, headers=self._headers(tool, args), content=body)
        token = posting.set(sending)
        try:
            response = await self.http.send(request, stream=True)
        finally:
            posting.reset(token)
        try:
            if response.next_request is not None:
                return None
            raw = await self._result(response, sending)
        finally:
            await response.aclose()
        if (_CALL, self.version) in methods.SERVER_RESULTS:
            methods.validate_server_result(_CALL, self.version, raw)
        return raw

    def _headers(self, tool: "ToolDefinition", args: dict[str, Any]) -> dict[str, str]:
        pin = tool.pin_sha256
        if pin not in self._maps:
            if len(self._maps) >= _KEPT_MAPS:
                self._maps.clear()
            self._maps[pin] = x_mcp_header_map(tool.input_schema)
        return {
            **self.http.headers,
            "accept": f"{_JSON}, {EVENT_STREAM}",
            "content-type": _JSON,
            MCP_PROTOCOL_VERSION_HEADER: self.version,
            MCP_METHOD_HEADER: _CALL,
            MCP_NAME_HEADER: encode_header_value(tool.ref.name),
            **mcp_param_headers(self._maps[pin], args),
        }

    async def _result(self, response: httpx2.Response, sending: Sending) -> dict[str, Any]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == EVENT_STREAM:
            answer = await _answer_in(response, sending)
        elif kind == _JSON:
            answer = _read(await response.aread(), sending)
        else:
            answer = None
        if answer is None:
            raise MCPError(CONNECTION_CLOSED, sending.trouble or "there is no answer")
        sending.trouble, sending.answered = None, True
        if isinstance(answer, JSONRPCError):
            raise MCPError.from_jsonrpc_error(answer)
        return answer.result


async def _answer_in(response: httpx2.Response, sending: Sending) -> JSONRPCResponse | JSONRPCError | None:
    """The answer in a stream of events; what else the server says in it is not for us."""
    limit = 2 * MESSAGE_BYTES  # ours is the smaller one, and says what it cut off
    try:
        async for event in httpx2.EventSource(response, max_event_size=limit):
            if event.event == "message" and event.data:
                answer = _read(event.data, sending)
                if answer is not None:
                    return answer
    except (httpx2.HTTPError, httpx2.SSEError) as error:
        sending.trouble = sending.trouble or f"broke off its answer: {error}"
    return None


def _read(text: str | bytes, sending: Sending) -> JSONRPCResponse | JSONRPCError | None:
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValueError:
        sending.trouble = "answered with something that is no MCP message"
        raise MCPError(PARSE_ERROR, sending.trouble) from None
    return message if isinstance(message, JSONRPCResponse | JSONRPCError) else None
