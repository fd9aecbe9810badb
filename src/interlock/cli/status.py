"""`interlock status`: one screen."""

import sys
from typing import Any

from interlock.cli import edge
from interlock.cli.connecting import connected, server_url
from interlock.cli.options import Json
from interlock.cli.output import emit, paint_for
from interlock.cli.views.status import status_page


def status(*, json: Json = False) -> int:
    """Is all well? Workers, tasks, questions for you, tool servers, and what needs a look."""
    url = server_url()
    with connected(url) as client:
        found: dict[str, Any] = dict(client.status())
    emit({**found, "url": url}, status_page(found, url, paint_for(sys.stdout)), as_json=json)
    return edge.OK
