"""One route as data, so that every route is added in one place, which gives it its access check."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interlock.server.schemas import Body

API = "/api/v1"


@dataclass(frozen=True)
class Route:
    """A method on a path and what serves it.

    Attributes:
        method: of HTTP.
        path: with parameters in braces.
        endpoint: what serves it; its docstring is its description in OpenAPI.
        body: the model of its JSON body, for OpenAPI.
        status: what it answers as a rule.
        media_type: what it answers with.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    body: type[Body] | None = None
    status: int = 200
    media_type: str = "application/json"

    @property
    def name(self) -> str:
        """A unique name, as `post_tasks_cancel`."""
        words = [part for part in self.path.removeprefix(API).split("/") if part and not part.startswith("{")]
        single = "_one" if self.path.endswith("}") else ""
        return "_".join([self.method.lower(), *words]).replace(".", "_") + single

    @property
    def openapi_extra(self) -> dict[str, Any]:
        """The body, as OpenAPI describes it."""
        if self.body is None:
            return {}
        schema = self.body.model_json_schema()
        required = bool(schema.get("required"))
        return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
