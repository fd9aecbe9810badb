"""YAML and JSON files as plain data that remembers its lines; bounded before anything is built.

YAML is read with the scalars of YAML 1.2: `on`, `no`, `12:30` and `2026-01-01` are texts, only `true` and `false`
are truth values. Anchors, aliases and merge keys (`<<`) work within bounds; tags that name types of a programming
language, repeated keys, several documents and keys that are no text are refused.
"""

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

from interlock.config.problems import Problem, key_step, quoted, refuse
from interlock.model import ConfigError, UserError

if TYPE_CHECKING:
    import yaml

MAX_FILE_BYTES = 1024 * 1024
MAX_ALIAS_NODES = 10_000
MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1  # the largest that JSON keeps exactly everywhere

Loc: TypeAlias = "tuple[int | str, ...]"

_TAG = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,400})|0x[0-9A-Fa-f]{1,16}|0o[0-7]{1,22}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,400}|[0-9]{1,400}(?:\.[0-9]{0,400})?)(?:[eE][-+]?[0-9]{1,6})?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE = re.compile("[^\\x09\\x0A\\x0D\\x20-\\x7E\\x85\\xA0-\\uD7FF\\uE000-\\uFFFD\\U00010000-\\U0010FFFF]")


@dataclass
class Node:
    """A value with its line (from 1); `size` and `height` count what it holds with aliases expanded.

    Attributes:
        value: a scalar, a list of nodes, or a dict of key to `(line of the key, node)`.
        line: where the value begins.
    """

    value: Any
    line: int
    size: int = 1
    height: int = 1

    def plain(self) -> Any:
        """The data without the lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True)
class Locator:
    """Finds the line and the written path of a place in a file; parts that are not in the file are passed over."""

    path: Path
    root: Node | None = None

    def __call__(self, loc: Loc) -> int:
        """The line (from 1) of the deepest part of `loc` that the file has."""
        line, node = 1, self.root
        for step in loc:
            found = _child(node, step)
            if found:
                line, node = found
        return line

    def key_path(self, loc: Loc) -> str:
        """`loc` as people write it: `agents.editor.tools[0]`; a missing last key is kept."""
        text, node = "", self.root
        for index, step in enumerate(loc):
            found = _child(node, step)
            node = found[1] if found else node
            if isinstance(step, int):
                text += f"[{step}]" if found or self.root is None else ""
            elif found or self.root is None or (index == len(loc) - 1 and re.fullmatch(r"[\w-]+", step)):
                text += ("." if text else "") + key_step(step)
        return text

    def problem(self, loc: Loc, text: str) -> Problem:
        """A problem at `loc`."""
        return Problem(self(loc), self.key_path(loc), text)


class BadYamlError(ValueError):
    """A text that is refused; `syntax` if it is no YAML at all, not just YAML that we don't take."""

    def __init__(self, problem: Problem, *, syntax: bool = False) -> None:
        super().__init__(problem.text)
        self.problem = problem
        self.syntax = syntax


class YamlDocument(NamedTuple):
    """A file's content as plain JSON data, and where each part of it stands."""

    data: dict[str, Any]
    locate: Locator


def _child(node: Node | None, step: int | str) -> tuple[int, Node] | None:
    value = node.value if node else None
    if isinstance(value, dict) and step in value:
        found: tuple[int, Node] = value[step]
        return found
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step].line, value[step]
    return None


def yaml_document(path: Path, error_class: type[UserError] = ConfigError) -> YamlDocument:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Returns:
        `(data, locate)`: the plain data (only JSON types, at most 64 levels), and `locate(loc) -> line`.

    Raises:
        UserError: of `error_class`: the file can't be read, is over 1 MiB, no UTF-8, or no such YAML.
    """
    root = parse_yaml(path, read_text(path, error_class), error_class)
    if root.value is None:
        root = Node({}, 1)
    if not isinstance(root.value, dict):
        what = "a list" if isinstance(root.value, list) else "a single value"
        refuse(path, [Problem(root.line, "", f"the file holds {what}; expected a mapping (key: value)")], error_class)
    return YamlDocument(root.plain(), Locator(path, root))


def read_text(path: Path, error_class: type[UserError] = ConfigError) -> str:
    """Read a regular UTF-8 file of at most 1 MiB; a byte order mark is dropped.

    Raises:
        UserError: of `error_class`: not readable, too large, not UTF-8.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise error_class(f"{path}: is no regular file; expected a text file")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable file name"
        raise error_class(f"{path}: can't be read: {reason}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise error_class(f"{path}: is larger than 1 MiB; expected a smaller file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        refuse(path, [Problem(line, "", "found bytes that are no UTF-8; expected UTF-8 text")], error_class)


def parse_yaml(path: Path, text: str, error_class: type[UserError]) -> Node:
    """Parse one YAML document into nodes.

    Raises:
        UserError: of `error_class`, with the line.
    """
    try:
        return build_nodes(text)
    except BadYamlError as error:
        refuse(path, [error.problem], error_class)


def build_nodes(text: str) -> Node:
    """Parse one YAML document into nodes.

    Raises:
        BadYamlError: it is no YAML, or more than we take.
    """
    import yaml

    odd = _UNPRINTABLE.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        found = f"found the control character U+{ord(odd[0]):04X}; expected plain text"
        raise BadYamlError(Problem(line, "", found), syntax=True)
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        return _Builder().document(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        raise BadYamlError(_syntax_problem(text, error), syntax=True) from None


def _syntax_problem(text: str, error: "yaml.YAMLError") -> Problem:
    """The parser's complaint without the piece of the file that it would quote."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    what = str(getattr(error, "problem", None) or "the text can't be parsed")
    if "nesting" in what:
        return Problem(line, "", f"found more than {MAX_DEPTH} levels; expected fewer")
    context = getattr(error, "context", None)
    lines = text.splitlines()
    near = lines[max(0, line - 1) : line + 1]
    for offset, row in enumerate(near):
        if "\t" in row[: len(row) - len(row.lstrip())]:
            return Problem(line + offset, "", "found a tab in the indentation; expected spaces")
    expected = "; expected a ':' after a key, and quotes around a text with ': ' or a leading symbol"
    return Problem(line, "", f"no valid YAML: {what}" + (f" ({context})" if context else "") + expected)


@dataclass
class _Builder:
    """Builds nodes from parser events, so that depth and aliases are bounded before they cost anything."""

    anchors: dict[str, Node] = field(default_factory=dict)
    alias_nodes: int = 0
    events: Iterator[Any] = field(default_factory=lambda: iter(()))

    def document(self, events: Iterator[Any]) -> Node:
        import yaml

        self.events = events
        root = Node(None, 1)
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "found a second document; expected one per file (remove the '---')")
                root = self._node(next(self.events), 1)
        return root

    def _stop(self, event: Any, text: str) -> NoReturn:
        raise BadYamlError(Problem(event.start_mark.line + 1, "", text))

    def _node(self, event: Any, depth: int) -> Node:
        import yaml

        if depth > MAX_DEPTH:
            self._stop(event, f"found more than {MAX_DEPTH} levels; expected fewer")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        node = Node(None, event.start_mark.line + 1)
        if isinstance(event, yaml.SequenceStartEvent):
            self._only_tag(event, "seq")
            self._fill_list(node, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            self._only_tag(event, "map")
            self._fill_mapping(node, depth)
        else:
            node.value = self._scalar(event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _only_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._stop(event, f"found the tag {quoted(event.tag)}; expected none")

    def _alias(self, event: Any, depth: int) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            self._stop(event, f"found the alias {quoted('*' + event.anchor)}; expected its anchor before it")
        self.alias_nodes += node.size
        if self.alias_nodes > MAX_ALIAS_NODES:
            self._stop(event, f"aliases expand to more than {MAX_ALIAS_NODES:,} values; expected fewer")
        if depth + node.height - 1 > MAX_DEPTH:
            self._stop(event, f"found more than {MAX_DEPTH} levels; expected fewer")
        return node

    def _fill_list(self, node: Node, depth: int) -> None:
        import yaml

        items: list[Node] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, depth + 1))
        node.value = items
        _measure(node, items)

    def _fill_mapping(self, node: Node, depth: int) -> None:
        import yaml

        entries: dict[str, tuple[int, Node]] = {}
        merged: list[Node] = []
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = "<<" if is_merge else self._key(event)
            value = self._node(next(self.events), depth + 1)
            if is_merge:
                merged += self._merge_sources(event, value)
            elif key in entries:
                self._stop(event, f"the key {quoted(key)} is repeated (first on line {entries[key][0]}); expected once")
            else:
                entries[key] = (event.start_mark.line + 1, value)
        for source in merged:
            for key, entry in source.value.items():
                entries.setdefault(key, entry)
        node.value = entries
        _measure(node, [child for _, child in entries.values()])

    def _key(self, event: Any) -> str:
        import yaml

        key = self._node(event, MAX_DEPTH).value if isinstance(event, yaml.AliasEvent | yaml.ScalarEvent) else None
        if isinstance(key, str):
            return key
        return self._stop(event, "found a key that is no text; expected a word, or the key in quotes")

    def _merge_sources(self, event: Any, value: Node) -> list[Node]:
        sources = value.value if isinstance(value.value, list) else [value]
        if not all(isinstance(source.value, dict) for source in sources):
            self._stop(event, "'<<' merges something that is no mapping; expected an alias such as *defaults")
        return list(sources)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.implicit[1] or event.tag in ("!", _TAG + "str"):
            return text
        value = _core_scalar(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._stop(event, f"found {quoted(text)}; expected a finite number")
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            self._stop(event, "found an integer beyond 2**53; expected a smaller one, or quotes to make it a text")
        kinds: dict[type, tuple[str, ...]] = {type(None): ("null",), bool: ("bool",), int: ("int", "float")}
        allowed = kinds.get(type(value), ("float",) if isinstance(value, float) else ())
        if event.tag is not None and event.tag not in [_TAG + kind for kind in allowed]:
            self._stop(event, f"found the tag {quoted(event.tag)}; expected none")
        return value


def _measure(node: Node, children: list[Node]) -> None:
    node.size = 1 + sum(child.size for child in children)
    node.height = 1 + max((child.height for child in children), default=0)


def _core_scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2; a number with leading zeros stays a text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, 0 if text.startswith(("0x", "0o")) else 10)
    if _NOT_FINITE.fullmatch(text):
        return math.inf
    leading_zero = re.match(r"[-+]?0[0-9]", text)
    return float(text) if _FLOAT.fullmatch(text) and not leading_zero else text
