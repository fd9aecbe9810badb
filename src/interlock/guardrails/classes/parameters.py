"""What the parameters of a tool say: what is run, which actions there are to choose from, what is written, what is asked."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from interlock.guardrails.classes import phrases
from interlock.guardrails.classes.names import read_name
from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import VERBS, Force
from interlock.guardrails.classes.words import name_words, visible

_MAX_DEPTH = 5
_MAX_ABOUT_CHARS = 1000
_MAX_NODES = 500
_MAX_PROPERTIES = 2000
_QUOTED = re.compile(r"[`'\"\u201c]([A-Za-z_-]{2,40})[`'\"\u201d]")

_ACTION = bag(
    """
    action method operation op verb subcommand sub_command command mode actions operations http_method
    request_method operation_type action_type actiontype operationtype function task type_of_action
    """
)
_HTTP_FORCE = {
    "get": Force.READ,
    "head": Force.READ,
    "options": Force.READ,
    "post": Force.WRITE,
    "put": Force.WRITE,
    "patch": Force.WRITE,
    "delete": Force.HARM,
}
_CODE = bag(
    """
    code script sql command cmd shell javascript js cypher statement statements commands program python bash
    powershell shell_command command_line commandline source_code snippet raw_command sql_query sql_statement ddl
    dml cypher_query macro executable argv
    """
)
_MAYBE_CODE = bag(
    """
    query queries expression function input args arguments body filter pipeline operation mutation request file
    filename
    """
)
_CONTENT = bag(
    """
    body content message contents comment payload replacement commit_message file_content new_content new_text
    new_name new_title new_value new_path new_string old_string text_content html markdown blocks attachment
    attachments commit_title template_body edits changes updates patch new_status new_owner new_password destination
    dest_path target_path save_path output_path output_file dest local_path write_path
    """
)
_HARM_FLAGS = bag(
    """
    confirm confirmation confirmed confirm_delete i_understand are_you_sure hard_delete permanent permanently purge
    prune cascade destroy wipe drop skip_trash delete_data delete_local_data overwrite_existing force_delete
    delete_all remove_all cascade_delete acknowledge_risk skip_confirmation dangerous
    """
)
_WRITE_FLAGS = bag(
    """
    dry_run dryrun validate_only simulate overwrite replace force what_if no_op create_missing
    """
)
# The operations of JSON Patch: "remove" takes out a part of a document.
_PATCH = bag("add remove replace move copy test")
_NO_CONTENT = ("boolean", "integer", "number")
_READING = bag(
    """
    limit page per_page perpage page_size pagesize cursor offset page_token next_token max_results maxresults sort
    sort_by sortby order order_by orderby direction filter filters search query q since until start_time end_time
    start_date end_date from_date to_date before after fields include exclude max_items top max_count keyword
    pattern page_number start_at startat expand include_archived depth tail lines from_time to_time time_range
    window lookback step max_depth format output_format verbose detailed include_metadata starttime endtime first
    last num_results term search_term start_line end_line head max_length skip projection result_limit count
    row_limit return_fields view_range range
    """
)


@dataclass
class ParametersSay:
    """The evidence of the parameters.

    Attributes:
        runs: the parameter whose text is run, or whose language can change data, if there is one.
        by_arguments: the class depends on the arguments.
        actions: what each choice of an action does, by its name.
        unclear: among these choices is one that says nothing.
        harms, writes: parameters that only make sense for a tool that does harm, or that changes something.
        alarms: what in their descriptions makes the tool destructive by itself.
        asks: it has no parameters but identifiers and what narrows or pages a search, as a read has.
        harmless: none of them makes sense only for a tool that changes something.
    """

    runs: str | None = None
    by_arguments: bool = False
    actions: dict[str, Force] = field(default_factory=dict)
    harms: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    unclear: bool = False
    alarms: list[str] = field(default_factory=list)
    asks: bool = False
    harmless: bool = True

    @property
    def worst_action(self) -> Force | None:
        """The worst choice of an action; None if there is no such choice."""
        return max(self.actions.values(), default=None)


def read_parameters(schema: Mapping[str, Any], description: str) -> ParametersSay:
    """The evidence of an input schema; `description` is that of the tool."""
    says = ParametersSay()
    names: list[str] = []
    reading = 0
    for depth, name, spec in islice(_properties(schema), _MAX_PROPERTIES):
        words = "_".join(name_words(name))
        about, hidden = visible(str(spec.get("description") or "")[:_MAX_ABOUT_CHARS])
        says.alarms.extend(_alarms(words, about, hidden=hidden))
        names.append(words)
        _actions(says, words, spec, about, depth)
        if depth == 0:
            _code(says, words, spec, about, description)
        _flags(says, words, spec, depth)
        reading += words in _READING
    says.harmless = not says.writes and not says.harms and says.runs is None
    says.asks = says.harmless and (reading > 0 or len(names) <= 3)
    return says


def _alarms(name: str, about: str, *, hidden: bool) -> list[str]:
    found = [f"parameter '{name}' has characters that nobody can see"] if hidden else []
    pleading = phrases.pleading(about.lower())
    return [*found, f"parameter '{name}' argues for itself: {pleading}"] if pleading else found


def _properties(schema: Mapping[str, Any]) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """All parameters as (depth, name, schema), those of alternatives, lists and nested objects included; bounded."""
    definitions = {**_mapping(schema.get("definitions")), **_mapping(schema.get("$defs"))}
    stack: list[tuple[int, Mapping[str, Any]]] = [(0, schema)]
    nodes = 0
    while stack and nodes < _MAX_NODES:
        depth, node = stack.pop()
        nodes += 1
        for name, spec in _mapping(node.get("properties")).items():
            below = _resolved(_mapping(spec), definitions)
            yield depth, str(name), below
            if depth < _MAX_DEPTH:
                stack.append((depth + 1, below))
        if depth < _MAX_DEPTH:
            stack += [(depth, _resolved(branch, definitions)) for branch in _branches(node)]
        items = _mapping(node.get("items"))
        if items and depth < _MAX_DEPTH:
            stack.append((depth, _resolved(items, definitions)))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _resolved(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    target = spec.get("$ref")
    if not isinstance(target, str):
        return spec
    return {**_mapping(definitions.get(target.rpartition("/")[2])), **spec}


def _branches(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("anyOf", "oneOf", "allOf"):
        branches = node.get(key)
        if isinstance(branches, list):
            yield from (branch for branch in branches[:50] if isinstance(branch, Mapping))


def _choices(spec: Mapping[str, Any], about: str) -> list[str]:
    found: list[Any] = []
    items = _mapping(spec.get("items"))
    for node in (spec, items, *_branches(spec), *_branches(items)):
        enum = node.get("enum")
        found.extend(enum if isinstance(enum, list) else ())
        found.extend([node["const"]] if "const" in node else ())
    if not found:
        found = list(_QUOTED.findall(about))
    return [value for value in found[:100] if isinstance(value, str)]


def _actions(says: ParametersSay, words: str, spec: Mapping[str, Any], about: str, depth: int) -> None:
    if words not in _ACTION and not words.endswith(("_action", "_operation", "_method")):
        return
    choices = _choices(spec, about)
    http = sum(choice.lower() in _HTTP_FORCE for choice in choices) >= 2 and all(choice.isupper() for choice in choices)
    if depth and choices and {choice.lower() for choice in choices} <= _PATCH:
        says.writes.append(words)
        return
    for choice in choices:
        if name_words(choice) and getattr(VERBS.get(name_words(choice)[-1]), "form", "") == "past":
            continue  # `merge_train_removed`: something that happened, to filter by
        said = read_name(choice)
        found = said.strong or said.weak
        force = _HTTP_FORCE.get(choice.lower()) if http else max((one.force for one in found), default=None)
        if force is None:
            says.unclear = True
        elif len(choices) > 1:
            says.actions[choice] = force
    if len(set(says.actions.values())) > 1:
        says.by_arguments = True


def _code(says: ParametersSay, words: str, spec: Mapping[str, Any], about: str, description: str) -> None:
    if says.runs is not None or _choices(spec, "") or spec.get("type") in ("boolean", "integer", "number"):
        return
    about = about.lower()
    text = f"{description[:600].lower()} {about}"
    if words in _CODE:
        sql = phrases.query_language(f"{words} {text}") or words in ("command", "statement")
        if not (sql and phrases.read_only(text)) and not phrases.read_language(about):
            says.runs, says.by_arguments = words, says.by_arguments or sql
    elif words in _MAYBE_CODE and words not in ("file", "filename", "filter", "args", "arguments", "body", "input"):
        query = phrases.query_language(text) and not phrases.read_only(text) and not phrases.read_language(about)
        code = words in ("function", "expression", "operation") and phrases.code_language(text)
        if query or code:
            says.runs, says.by_arguments = words, says.by_arguments or query


def _flags(says: ParametersSay, words: str, spec: Mapping[str, Any], depth: int) -> None:
    if words in _HARM_FLAGS or (spec.get("type") == "boolean" and words.startswith(("delete_", "purge_", "destroy_"))):
        says.harms.append(words)
    elif words in _WRITE_FLAGS or (depth == 0 and words in _CONTENT and spec.get("type") not in _NO_CONTENT):
        says.writes.append(words)
    elif words in ("read_only", "readonly") and spec.get("type") == "boolean":
        says.writes.append(words)
        says.by_arguments = True
