"""Two machines on one database, for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.app.machines import Machines, machines_in


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machines]:
    """Nothing is applied but an empty configuration, and no worker runs yet."""
    async with machines_in(tmp_path_factory.mktemp("machines")) as found:
        yield found
