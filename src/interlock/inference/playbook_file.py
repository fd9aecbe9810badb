"""Reads a playbook file and checks all of it before anything runs; every error names file, line and key."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NoReturn

from interlock.inference.conditions import Condition, compile_condition, compile_value, value_paths
from interlock.inference.expressions import ExpressionError, Path, Template, parse_template
from interlock.inference.playbook import (
    MAX_LOOP,
    MAX_RETRIES,
    BlockStep,
    CallSpec,
    CallStep,
    LoopStep,
    OnError,
    Place,
    Playbook,
    SetStep,
    Step,
    TextKind,
    TextStep,
    step_ids,
)
from interlock.model import PlaybookError, ToolRef, UserError

if TYPE_CHECKING:
    from interlock.config import YamlDocument

MAX_NESTING = 8
MAX_WRITTEN_STEPS = 1_000
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_ROOTS = ("inputs", "request", "vars", "steps", "notes")
_TOP_KEYS = ("version", "description", "vars", "steps", "result")
_STEP_KEYS: Mapping[str, tuple[str, ...]] = {
    "call": ("id", "call", "args", "reason", "when", "on_error", "retry"),
    "calls": ("calls", "when", "on_error", "retry"),
    "for": ("id", "for", "steps", "when"),
    "steps": ("when", "steps", "else"),
    "set": ("set", "when"),
    "say": ("say", "when"),
    "result": ("result", "when"),
    "fail": ("fail", "when"),
}
_TEXT_KINDS: Mapping[str, TextKind] = {"say": "say", "result": "result", "fail": "fail"}
Loc = tuple[int | str, ...]


@dataclass(frozen=True)
class _Names:
    """What a template at this point may name."""

    steps: tuple[str, ...] = ()
    items: frozenset[str] = frozenset()
    vars: frozenset[str] = frozenset()


@dataclass
class _Reader:
    """Reads one file; `ids` are those seen so far, with their lines."""

    path: FilePath
    document: "YamlDocument"
    ids: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def stop(self, loc: Loc, text: str) -> NoReturn:
        key = self.document.locate.key_path(loc)
        raise PlaybookError(f"{self.path}:{self.document.locate(loc)}: {key + ': ' if key else ''}{text}")

    def keys(self, loc: Loc, block: dict[str, Any], allowed: Iterable[str]) -> None:
        for key in block:
            if key not in allowed:
                self.stop((*loc, key), f"unknown key '{key}'; expected one of: {', '.join(allowed)}")

    def mapping(self, loc: Loc, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.stop(loc, "expected a mapping (key: value)")
        return value

    def items(self, loc: Loc, value: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            self.stop(loc, "expected a list with at least one entry")
        return value

    def name(self, loc: Loc, value: Any) -> str:
        if not isinstance(value, str) or not _ID.fullmatch(value):
            self.stop(loc, "expected a name of letters, digits, '_' and '-', not beginning with a digit")
        return value

    def number(self, loc: Loc, value: Any, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.stop(loc, f"expected a whole number from 0 to {most}")
        return value

    def check(self, loc: Loc, paths: Iterable[Path], names: _Names) -> None:
        """Refuse paths to what can't be known at this point."""
        for path in paths:
            if path.root not in (*_ROOTS, *names.items):
                known = ", ".join((*_ROOTS, *sorted(names.items)))
                self.stop(loc, f"unknown name '{path.root}' in '{path}'; there are: {known}")
            key = path.keys[0] if path.keys else None
            if path.root == "steps" and isinstance(key, str) and key not in names.steps:
                before = ", ".join(names.steps) or "none"
                self.stop(loc, f"unknown step '{key}'; steps before this one: {before}")
            if path.root == "vars" and isinstance(key, str) and key not in names.vars:
                known = ", ".join(sorted(names.vars)) or "none"
                self.stop(loc, f"unknown variable '{key}'; there are: {known}")

    def value(self, loc: Loc, value: Any, names: _Names) -> Any:
        """Compile a value, going down by hand so that an error names the innermost key."""
        if isinstance(value, dict):
            return {key: self.value((*loc, key), item, names) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value((*loc, index), item, names) for index, item in enumerate(value)]
        try:
            compiled = compile_value(value)
        except ExpressionError as error:
            self.stop(loc, str(error))
        self.check(loc, value_paths(compiled), names)
        return compiled

    def text(self, loc: Loc, value: Any, names: _Names) -> Template:
        if not isinstance(value, str):
            self.stop(loc, "expected a text")
        try:
            template = parse_template(value)
        except ExpressionError as error:
            self.stop(loc, str(error))
        self.check(loc, template.paths(), names)
        return template

    def condition(self, loc: Loc, block: dict[str, Any], key: str, names: _Names) -> Condition | None:
        if key not in block:
            return None
        try:
            compiled = compile_condition(block[key])
        except ExpressionError as error:
            self.stop((*loc, key), str(error))
        self.check((*loc, key), compiled.paths(), names)
        return compiled

    def new_id(self, loc: Loc, block: dict[str, Any]) -> str:
        if "id" not in block:
            return ""
        loc = (*loc, "id")
        name = self.name(loc, block["id"])
        if name in self.ids:
            self.stop(loc, f"the id '{name}' is used twice (first on line {self.ids[name]}); expected another one")
        self.ids[name] = self.document.locate(loc)
        return name

    # ---- steps --------------------

    def steps(self, loc: Loc, value: Any, names: _Names) -> tuple[Step, ...]:
        if sum(isinstance(part, str) for part in loc) > MAX_NESTING:
            self.stop(loc, f"steps may nest {MAX_NESTING} deep")
        steps: list[Step] = []
        for index, block in enumerate(self.items(loc, value)):
            step = self.step((*loc, index), self.mapping((*loc, index), block), names)
            steps.append(step)
            names = replace(names, steps=(*names.steps, *step_ids((step,))))
        return tuple(steps)

    def step(self, loc: Loc, block: dict[str, Any], names: _Names) -> Step:
        self.count += 1
        if self.count > MAX_WRITTEN_STEPS:
            self.stop(loc, f"a playbook may have {MAX_WRITTEN_STEPS} steps")
        kinds = [kind for kind in _STEP_KEYS if kind in block and not (kind == "steps" and "for" in block)]
        if len(kinds) != 1:
            self.keys(loc, block, dict.fromkeys(key for keys in _STEP_KEYS.values() for key in keys))
            found = " and ".join(kinds) or "none of them"
            self.stop(loc, f"expected exactly one of: {', '.join(_STEP_KEYS)}; found {found}")
        kind = kinds[0]
        self.keys(loc, block, _STEP_KEYS[kind])
        when = self.condition(loc, block, "when", names)
        if kind in ("call", "calls"):
            return self.call_step(loc, block, names, when)
        if kind == "for":
            return self.loop(loc, block, names, when)
        if kind == "steps":
            return self.block(loc, block, names, when)
        place = Place(kind, self.document.locate(loc))
        if kind == "set":
            values = self.mapping((*loc, "set"), block["set"])
            return SetStep(place, self.value((*loc, "set"), values, names), when)
        text = self.text((*loc, kind), block[kind], names)
        return TextStep(place, _TEXT_KINDS[kind], text, when)

    def call_step(self, loc: Loc, block: dict[str, Any], names: _Names, when: Condition | None) -> CallStep:
        if "call" in block:
            calls = [self.call(loc, block, names)]
        else:
            calls = []
            for index, entry in enumerate(self.items((*loc, "calls"), block["calls"])):
                at: Loc = (*loc, "calls", index)
                self.keys(at, self.mapping(at, entry), ("id", "call", "args", "reason"))
                if "call" not in entry:
                    self.stop(at, "expected 'call', the tool as server.name")
                calls.append(self.call(at, entry, names))
        retry = self.mapping((*loc, "retry"), block.get("retry", {"times": 0}))
        self.keys((*loc, "retry"), retry, ("times",))
        retries = self.number((*loc, "retry", "times"), retry.get("times"), MAX_RETRIES)
        name = " and ".join(call.id or call.tool for call in calls)
        return CallStep(Place(name, self.document.locate(loc)), tuple(calls), when, self.on_error(loc, block), retries)

    def on_error(self, loc: Loc, block: dict[str, Any]) -> OnError:
        value = block.get("on_error", "stop")
        if value not in ("stop", "continue"):
            self.stop((*loc, "on_error"), "expected one of: stop, continue")
        return "stop" if value == "stop" else "continue"

    def call(self, loc: Loc, block: dict[str, Any], names: _Names) -> CallSpec:
        tool = block["call"]
        try:
            ToolRef.parse(tool if isinstance(tool, str) else "")
        except UserError:
            self.stop((*loc, "call"), "expected a tool as server.name, as in workspace.read")
        args = self.mapping((*loc, "args"), block.get("args", {}))
        reason = self.text((*loc, "reason"), block.get("reason", ""), names)
        return CallSpec(self.new_id(loc, block), tool, self.value((*loc, "args"), args, names), reason)

    def loop(self, loc: Loc, block: dict[str, Any], names: _Names, when: Condition | None) -> LoopStep:
        at: Loc = (*loc, "for")
        head = self.mapping(at, block["for"])
        self.keys(at, head, ("item", "in", "where", "limit"))
        if "in" not in head:
            self.stop(at, "expected 'in', the list to go through")
        item = self.name((*at, "item"), head.get("item", "item"))
        if item in _ROOTS or item in names.items or item == "round":
            self.stop((*at, "item"), f"the name '{item}' is taken; expected another one")
        source = self.value((*at, "in"), head["in"], names)
        limit = self.number((*at, "limit"), head["limit"], MAX_LOOP) if "limit" in head else None
        name = self.new_id(loc, block)
        inside = replace(names, items=names.items | {item, "round"})
        where = self.condition(at, head, "where", inside)
        steps = self.steps((*loc, "steps"), block.get("steps"), inside)
        place = Place(name or "for", self.document.locate(loc))
        return LoopStep(place, name, item, source, where, limit, steps, when)

    def block(self, loc: Loc, block: dict[str, Any], names: _Names, when: Condition | None) -> BlockStep:
        if when is None:
            self.stop(loc, "expected 'when', the condition for these steps")
        steps = self.steps((*loc, "steps"), block["steps"], names)
        otherwise = self.steps((*loc, "else"), block["else"], names) if "else" in block else ()
        return BlockStep(Place("when", self.document.locate(loc)), when, steps, otherwise)

    # ---- the whole file --------------------

    def set_names(self, value: Any) -> set[str]:
        """The variables that any `set` step gives a value, wherever it stands."""
        found: set[str] = set()
        if isinstance(value, dict):
            if isinstance(value.get("set"), dict):
                found.update(str(key) for key in value["set"])
            for key in ("steps", "else"):
                found |= self.set_names(value.get(key))
        elif isinstance(value, list):
            for entry in value:
                found |= self.set_names(entry)
        return found

    def playbook(self, name: str) -> Playbook:
        data = self.document.data
        self.keys((), data, _TOP_KEYS)
        if data.get("version") != 1:
            self.stop(("version",), "expected: version: 1")
        description = data.get("description", "")
        if not isinstance(description, str):
            self.stop(("description",), "expected a text")
        declared: dict[str, Any] = {}
        for key, value in self.mapping(("vars",), data.get("vars", {})).items():
            names = _Names(vars=frozenset(declared))
            declared[self.name(("vars", key), key)] = self.value(("vars", key), value, names)
        names = _Names(vars=frozenset(declared) | self.set_names(data.get("steps")))
        steps = self.steps(("steps",), data.get("steps"), names)
        names = replace(names, steps=tuple(step_ids(steps)))
        result = self.text(("result",), data.get("result", "Done."), names)
        return Playbook(name, description, declared, steps, result)


def load_playbook(path: FilePath, name: str | None = None) -> Playbook:
    """Read and check a playbook; `name` defaults to the file's name without its ending.

    Raises:
        PlaybookError: it can't be read or is wrong; the message is `file:line: key: what was expected`.
    """
    from interlock.config import yaml_document

    document = yaml_document(path, PlaybookError)
    return _Reader(path, document).playbook(name if name is not None else path.stem)


def stored_playbook(path: FilePath, data: dict[str, Any], name: str) -> Playbook:
    """A playbook as it was stored. Its lines are known if the file still says the same.

    Raises:
        PlaybookError: it is wrong for this release.
    """
    from interlock.config import Locator, YamlDocument, yaml_document

    try:
        document = yaml_document(path, PlaybookError)
    except PlaybookError:
        document = None
    if document is None or document.data != data:
        document = YamlDocument(data, Locator(path))
    return _Reader(path, document).playbook(name)


def check_playbook(path: FilePath) -> Playbook:
    """Check a playbook without running it, as `interlock config check` does.

    Raises:
        PlaybookError: as `load_playbook`.
    """
    return load_playbook(path)
