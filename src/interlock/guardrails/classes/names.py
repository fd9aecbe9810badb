"""What a tool's name says: its verbs, with their objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from interlock.guardrails.classes import vocabulary
from interlock.guardrails.classes.senses import Sense, sense
from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import VERBS, Force
from interlock.guardrails.classes.words import name_words

_JOINS = bag("and or then n plus also")
_HTTP = frozenset(("api", "http", "rest"))
# These last words make the first one a noun: `label_write`, `message_search`, `actions_list`.
_ACTIONS = bag(
    """
    list get search read write find show describe fetch query lookup create update delete remove set add
    """
)


@dataclass(frozen=True)
class NameSays:
    """The verbs of a name.

    Attributes:
        strong: what is surely meant as verbs: the first one, and those joined to it.
        weak: words that may as well be nouns (`git_log`, `pods_run`).
    """

    strong: tuple[Sense, ...] = ()
    weak: tuple[Sense, ...] = ()

    @property
    def force(self) -> Force | None:
        """The worst of what is surely meant; None if there is no verb."""
        return max((found.force for found in self.strong), default=None)

    @property
    def reads(self) -> bool:
        """Whether its verbs only look."""
        found = self.strong or self.weak
        return bool(found) and all(one.force is Force.READ for one in found)


def read_name(name: str) -> NameSays:
    """The verbs in a tool's name."""
    words = name_words(name)
    if len(words) > 2 and words[0] in _HTTP:
        words = words[1:] if words[1] != "post" else words[2:]
    head = _head(words)
    strong: list[Sense] = []
    weak: list[Sense] = []
    for at, word in enumerate(words):
        joined = at > 0 and words[at - 1] in _JOINS and head is not None and head < at
        if at != head and not joined and not (word in vocabulary.NOUNS and head is None):
            continue
        found = sense(words, at, whole=True)
        if found is not None:
            (weak if head is None else strong).append(found)
    return NameSays(tuple(strong), tuple(weak))


def _may_act(word: str) -> bool:
    verb = VERBS[word]
    return verb.form == "base" or (verb.form == "third" and verb.lemma not in vocabulary.NOUNS)


def _head(words: Sequence[str]) -> int | None:
    verbs = [at for at, word in enumerate(words) if word in VERBS and _may_act(word)]
    certain = [at for at in verbs if VERBS[words[at]].lemma not in vocabulary.NOUNS]
    if len(words) == 1 and words[0] in vocabulary.NOUNS:
        return None
    if 0 in verbs:
        last = len(words) - 1
        noun_first = words[0] in vocabulary.NOUNS and last > 0 and words[last - 1] not in _JOINS
        if noun_first and (last in certain or words[last] in _ACTIONS):
            return last
        return 0
    if certain:
        return certain[0]
    if words and words[-1] in _ACTIONS:
        return len(words) - 1
    return None
