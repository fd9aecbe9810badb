"""Settings, interlock.yaml, the injected clock, ids and fault points.

What needs pydantic or YAML is loaded on first use, so that a command that reads no configuration does not pay for it.
"""

from typing import TYPE_CHECKING, Any

from interlock.config.environment import expand_env, is_header_name, missing_names, scrubbed_env
from interlock.config.home import ensure_home, ensure_key, ensure_token, read_token
from interlock.config.package_names import ALLOW_BUILD, PackageName, Registry, is_requirement, parse_package
from interlock.config.parts import HIDDEN, OF_ALL, own_parts
from interlock.config.pointers import look_up
from interlock.config.problems import Problem, refuse
from interlock.config.runtime import Clock, ManualClock, SystemClock, fault_point, new_id
from interlock.config.secrets import SECRET, Secrets
from interlock.config.settings import DEFAULT_URL, Settings
from interlock.config.timing import Timing
from interlock.config.tokens import new_token, token_id

if TYPE_CHECKING:
    from interlock.config.check_faults import read_checks, servers_for
    from interlock.config.check_schema import CheckConfig
    from interlock.config.loading import MissingVariable, Project, load_project, missing_env
    from interlock.config.machines import host_of
    from interlock.config.mcp_json import McpServers, read_mcp_json, server_name
    from interlock.config.schedule_schema import ScheduleConfig
    from interlock.config.schema import (
        AgentConfig,
        Config,
        DatabaseConfig,
        LimitsConfig,
        ModelConfig,
        ModelsConfig,
        PlanEntryConfig,
        PolicyConfig,
        PriceConfig,
        RuleConfig,
        RuleWhen,
        ServerConfig,
        config_schema,
    )
    from interlock.config.shapes import (
        ClassName,
        DurationS,
        Name,
        PositiveDurationS,
        Rate,
        RateText,
        Strict,
        parse_duration_s,
        parse_rate,
    )
    from interlock.config.tool_schema import (
        BreakerConfig,
        ContractConfig,
        FallbackConfig,
        SandboxConfig,
        ToolServerConfig,
    )
    from interlock.config.trigger_schema import TriggerConfig
    from interlock.config.yaml_marks import Loc, Locator, YamlDocument, yaml_document
    from interlock.config.yaml_models import did_you_mean, load_yaml_model, validate_at

__all__ = [
    "ALLOW_BUILD",
    "DEFAULT_URL",
    "HIDDEN",
    "OF_ALL",
    "SECRET",
    "AgentConfig",
    "BreakerConfig",
    "CheckConfig",
    "ClassName",
    "Clock",
    "Config",
    "ContractConfig",
    "DatabaseConfig",
    "DurationS",
    "FallbackConfig",
    "LimitsConfig",
    "Loc",
    "Locator",
    "ManualClock",
    "McpServers",
    "MissingVariable",
    "ModelConfig",
    "ModelsConfig",
    "Name",
    "PackageName",
    "PlanEntryConfig",
    "PolicyConfig",
    "PositiveDurationS",
    "PriceConfig",
    "Problem",
    "Project",
    "Rate",
    "RateText",
    "Registry",
    "RuleConfig",
    "RuleWhen",
    "SandboxConfig",
    "ScheduleConfig",
    "Secrets",
    "ServerConfig",
    "Settings",
    "Strict",
    "SystemClock",
    "Timing",
    "ToolServerConfig",
    "TriggerConfig",
    "YamlDocument",
    "config_schema",
    "did_you_mean",
    "ensure_home",
    "ensure_key",
    "ensure_token",
    "expand_env",
    "fault_point",
    "host_of",
    "is_header_name",
    "is_requirement",
    "load_project",
    "load_yaml_model",
    "look_up",
    "missing_env",
    "missing_names",
    "new_id",
    "new_token",
    "own_parts",
    "parse_duration_s",
    "parse_package",
    "parse_rate",
    "read_checks",
    "read_mcp_json",
    "read_token",
    "refuse",
    "scrubbed_env",
    "server_name",
    "servers_for",
    "token_id",
    "validate_at",
    "yaml_document",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load a name that needs pydantic or YAML, and keep it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from interlock.config import (
            check_faults,
            check_schema,
            loading,
            machines,
            mcp_json,
            schedule_schema,
            schema,
            shapes,
            tool_schema,
            trigger_schema,
            yaml_marks,
            yaml_models,
        )

        modules = (
            schema,
            check_schema,
            check_faults,
            schedule_schema,
            trigger_schema,
            shapes,
            tool_schema,
            yaml_marks,
            yaml_models,
            mcp_json,
            machines,
            loading,
        )
        for module in modules:
            if name in vars(module):
                globals()[name] = vars(module)[name]
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
