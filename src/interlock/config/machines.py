"""Which machine the tasks of an agent must run on."""

from collections.abc import Iterator

from interlock.config.schema import AgentConfig, Config
from interlock.model import FIRST_HOST


def host_of(agent: AgentConfig, config: Config) -> str | None:
    """The machine that tasks of an agent are bound to, `first` for whichever begins one, or None for any."""
    bound = [host for _, host in _bound(agent, config)]
    return next((host for host in bound if host != FIRST_HOST), FIRST_HOST if bound else None)


def two_hosts(agent: AgentConfig, config: Config) -> tuple[str, str] | None:
    """Two servers of an agent whose files are on two machines, if there are any: no task could have both."""
    named = [(server, host) for server, host in _bound(agent, config) if host != FIRST_HOST]
    return next(((named[0][0], server) for server, host in named if host != named[0][1]), None)


def _bound(agent: AgentConfig, config: Config) -> Iterator[tuple[str, str]]:
    """The servers of an agent, of its checks and of its judges that are bound, with where."""
    judges = [config.agents[check.judge] for check in agent.verify if check.judge in config.agents]
    names = {pattern.partition(".")[0] for one in (agent, *judges) for pattern in one.tools}
    for check in agent.verify:
        names |= {text.partition(".")[0] for text in (check.tool, check.server) if text is not None}
    for name in sorted(names & config.tools.keys()):
        host = config.tools[name].host
        if host is not None:
            yield name, host
