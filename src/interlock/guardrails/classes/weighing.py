"""From evidence to a class: what is grave decides alone, reading must be said twice, and silence is destructive."""

from dataclasses import dataclass, field

from interlock.guardrails.classes.names import NameSays
from interlock.guardrails.classes.parameters import ParametersSay
from interlock.guardrails.classes.prose import ProseSays
from interlock.guardrails.classes.senses import Sense
from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import Force
from interlock.model import ActionClass

_LOOKING_AT = bag(
    """
    explain validate lint format parse translate convert highlight tokenize check estimate encode decode review
    verify
    """
)
_READ, _WRITE, _DESTRUCTIVE = ActionClass.READ, ActionClass.WRITE, ActionClass.DESTRUCTIVE


@dataclass(frozen=True)
class Evidence:
    """All that a definition says of itself.

    Attributes:
        name, prose, parameters: what each part says.
        alarms: phrases or signs that make it destructive by themselves, as reasons.
        keeps: words that say that something is stored by it.
        domain: a field in which no change is a small one, such as Kubernetes or IAM, if it belongs to one.
    """

    name: NameSays
    prose: ProseSays
    parameters: ParametersSay
    alarms: tuple[str, ...] = ()
    keeps: str | None = None
    domain: str | None = None


@dataclass
class Verdict:
    """A class and why.

    Attributes:
        action_class: the class.
        reasons: what spoke for it.
        by_actions: the choice of an action decided.
    """

    action_class: ActionClass
    reasons: list[str] = field(default_factory=list)
    by_actions: bool = False


def weigh(evidence: Evidence) -> Verdict:
    """The class that the evidence supports."""
    grave = _grave(evidence)
    if grave:
        worst = evidence.parameters.worst_action
        return Verdict(_DESTRUCTIVE, grave, by_actions=worst is not None and worst >= Force.RUN)
    verdict = _by_actions(evidence) or _changes(evidence) or _reads(evidence)
    if verdict.action_class is _READ and evidence.keeps is not None:
        return Verdict(_WRITE, [f"description: {evidence.keeps}"])
    if verdict.action_class is _WRITE and evidence.domain is not None:
        field_reason = f"it changes something in the field of '{evidence.domain}'"
        return Verdict(_DESTRUCTIVE, [field_reason, *verdict.reasons], verdict.by_actions)
    return verdict


def _grave(evidence: Evidence) -> list[str]:
    name, prose, parameters = evidence.name, evidence.prose, evidence.parameters
    found = list(evidence.alarms)
    found += [f"name: {one.words}" for one in name.strong if one.force is Force.HARM and not _softened(one, prose)]
    found += [f"description: {one.words}" for one in (*prose.lead, *prose.more) if one.force is Force.HARM]
    if prose.force is None or prose.vague:
        found += [f"name: {one.words}" for one in name.weak if one.force is Force.HARM]
    if parameters.runs is not None and not _only_looked_at(name, prose):
        found.append(f"parameter: '{parameters.runs}' is run")
    found += [f"parameter: {one}" for one in parameters.harms]
    if not _only_looked_at(name, prose):
        found += [f"action: {action}" for action, force in parameters.actions.items() if force >= Force.RUN]
    return found


def _only_looked_at(name: NameSays, prose: ProseSays) -> bool:
    """Code that is explained, checked or put into another form is not run."""
    said = [one.verb.lemma for one in (*name.strong, *prose.lead, *prose.more)]
    return bool(name.strong and prose.lead) and all(lemma in _LOOKING_AT for lemma in said)


def _softened(one: Sense, prose: ProseSays) -> bool:
    """`execute_range_query` that turns out to run a query of a language that can only read."""
    generic = one.verb.lemma in ("run", "execute", "exec", "call", "invoke") and not one.exact
    return generic and bool(prose.lead) and max(found.force for found in prose.lead) <= Force.WRITE


def _by_actions(evidence: Evidence) -> Verdict | None:
    """What the choice of an action decides: a tool that may write writes; one that only "manages" is its choices."""
    name, prose, parameters = evidence.name, evidence.prose, evidence.parameters
    worst = parameters.worst_action
    if worst is None or len(parameters.actions) < 2 or _only_looked_at(name, prose):
        return None
    if prose.vague and parameters.unclear:
        return None
    if worst is Force.WRITE:
        actions = ", ".join(action for action, force in parameters.actions.items() if force is worst)
        return Verdict(_WRITE, [f"the worst of its actions: {actions[:80]}"], by_actions=True)
    said = max((force for force in (prose.force, name.force) if force is not None), default=Force.READ)
    if worst is Force.READ and prose.vague and said <= Force.NEUTRAL:
        return Verdict(_READ, ["all of its actions read"], by_actions=True)
    return None


def _changes(evidence: Evidence) -> Verdict | None:
    name, prose, parameters = evidence.name, evidence.prose, evidence.parameters
    said = [f"description: {one.words}" for one in (*prose.lead, *prose.more) if one.force is Force.WRITE]
    named = [f"name: {one.words}" for one in name.strong if one.force is Force.WRITE]
    writes = [f"parameter: {one}" for one in parameters.writes]
    if prose.vague and not named:
        return None
    if said:
        return Verdict(_WRITE, said + named)
    if named and (prose.lead or writes):
        return Verdict(_WRITE, named + writes)
    weak = [f"name: {one.words}" for one in name.weak if one.force >= Force.WRITE]
    if prose.lead and weak and not parameters.harmless:
        return Verdict(_WRITE, weak + writes)
    if prose.lead and writes and not name.reads:
        return Verdict(_WRITE, writes)
    return None


def _reads(evidence: Evidence) -> Verdict:
    name, prose, parameters = evidence.name, evidence.prose, evidence.parameters
    if not prose.lead or prose.vague or prose.force is not Force.READ:
        return Verdict(_DESTRUCTIVE, ["nothing in it says clearly what it does"])
    reasons = [f"description: {one.words}" for one in prose.lead]
    if name.reads:
        return Verdict(_READ, [*reasons, f"name: {(name.strong or name.weak)[0].words}"])
    if name.weak and not name.strong and parameters.harmless:
        return Verdict(_READ, [*reasons, "parameters: none that changes something"])
    if parameters.asks and (name.force is None or name.force is Force.RUN or name.force is Force.HARM):
        return Verdict(_READ, [*reasons, "parameters: only what narrows a search"])
    return Verdict(_DESTRUCTIVE, [*reasons, "but neither name nor parameters agree"])
