"""The opinion on a tool: the class that its definition supports, proposed to whoever accepts the definition."""

from dataclasses import dataclass, replace

from interlock.guardrails.classes import phrases
from interlock.guardrails.classes.leaving import leaves
from interlock.guardrails.classes.names import read_name
from interlock.guardrails.classes.parameters import read_parameters
from interlock.guardrails.classes.prose import read_prose
from interlock.guardrails.classes.senses import domain_of
from interlock.guardrails.classes.weighing import Evidence, Verdict, weigh
from interlock.guardrails.classes.words import MAX_TEXT_CHARS, mixed_scripts, name_words, tokens, visible
from interlock.model import ActionClass, ToolDefinition

_MAX_REASONS = 8
_LEAD_CHARS = 240
_READ, _WRITE, _DESTRUCTIVE = ActionClass.READ, ActionClass.WRITE, ActionClass.DESTRUCTIVE


@dataclass(frozen=True)
class Opinion:
    """What a tool does, as far as its definition tells.

    Attributes:
        action_class: of its worst arguments.
        egress: whether data can leave by it.
        arg_dependent: its class depends on the arguments.
        reasons: what spoke for it, most important first.
    """

    action_class: ActionClass
    egress: bool
    arg_dependent: bool
    reasons: tuple[str, ...]


def opinion(definition: ToolDefinition, *, trusted_hints: bool = False) -> Opinion:
    """Class and egress of a tool from its definition alone.

    Args:
        definition: as its server lists it.
        trusted_hints: the operator believes what the server says of itself; else its hints only raise.
    """
    title, hidden_title = visible(definition.title or "")
    text, hidden_text = visible(definition.description)
    name, hidden_name = visible(definition.ref.name)
    parameters = read_parameters(definition.input_schema, text)
    alarms = _alarms(f"{title}\n{text}".lower())
    alarms += parameters.alarms[:_MAX_REASONS]
    if len(definition.description) > MAX_TEXT_CHARS:
        alarms.append("its description is too long to be judged")
    if hidden_title or hidden_text or hidden_name:
        alarms.append("it has characters that nobody can see")
    if mixed_scripts(name) or mixed_scripts(text):
        alarms.append("it mixes alphabets within a word")
    evidence = Evidence(
        read_name(name),
        read_prose(text),
        parameters,
        tuple(alarms),
        phrases.keeps(text.lower()),
        domain_of(name_words(definition.ref.server), name_words(name), tokens(f"{title} . {text[:_LEAD_CHARS]}")),
    )
    verdict = weigh(evidence)
    verdict = _hinted(verdict, definition.annotations, trusted=trusted_hints)
    egress, why = leaves(name, f"{title}. {text}", definition.input_schema, definition.annotations)
    reasons = (f"{verdict.action_class}: {verdict.reasons[0]}", *verdict.reasons[1:_MAX_REASONS], why)
    return Opinion(verdict.action_class, egress, parameters.by_arguments, reasons)


def _alarms(text: str) -> list[str]:
    found = []
    for what, words in (
        ("it says", phrases.harm(text)),
        ("it runs", phrases.runs(text)),
        ("it argues for itself", phrases.pleading(text)),
    ):
        if words is not None:
            found.append(f"{what}: {words}")
    return found


def _hinted(verdict: Verdict, hints: dict[str, object], *, trusted: bool) -> Verdict:
    """Hints of a trusted server decide, unless a choice of actions did; those of others only raise."""
    read_only, destructive = hints.get("readOnlyHint"), hints.get("destructiveHint")
    if trusted and not verdict.by_actions:
        if read_only is True:
            return Verdict(_READ, ["says its server, which the operator trusts"])
        if destructive is False:
            return Verdict(_WRITE, ["says its server, which the operator trusts"])
        if destructive is True:
            return Verdict(_DESTRUCTIVE, ["says its server, which the operator trusts"])
    if verdict.action_class is _READ and (read_only is False or (destructive is True and read_only is not True)):
        return replace(verdict, action_class=_WRITE, reasons=["its own server says that it changes something"])
    return verdict
