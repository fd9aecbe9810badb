"""Verbs in all their inflections: one look in a table tells whether a word may be a verb, and what it does."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

from interlock.guardrails.classes import vocabulary
from interlock.guardrails.classes.tables import bag

Form: TypeAlias = Literal["base", "third", "gerund", "past"]

_PAST = {
    "get": "got gotten",
    "read": "read",
    "show": "shown showed",
    "find": "found",
    "see": "seen saw",
    "take": "taken took",
    "think": "thought",
    "know": "known knew",
    "give": "given gave",
    "make": "made",
    "write": "written wrote",
    "put": "put",
    "set": "set",
    "reset": "reset",
    "rewrite": "rewritten rewrote",
    "overwrite": "overwritten overwrote",
    "undo": "undone undid",
    "run": "run ran",
    "rerun": "rerun reran",
    "send": "sent",
    "build": "built",
    "rebuild": "rebuilt",
    "begin": "begun began",
    "hold": "held",
    "hide": "hidden hid",
    "unhide": "unhidden unhid",
    "freeze": "frozen froze",
    "leave": "left",
    "lose": "lost",
    "forget": "forgotten forgot",
    "cut": "cut",
    "pay": "paid",
    "buy": "bought",
    "sell": "sold",
    "spend": "spent",
    "withdraw": "withdrawn withdrew",
    "do": "done did",
    "go": "gone went",
    "quit": "quit",
    "bind": "bound",
    "unbind": "unbound",
    "override": "overridden overrode",
    "forbid": "forbidden forbade",
    "speak": "spoken spoke",
    "draw": "drawn drew",
    "broadcast": "broadcast",
    "tear": "torn tore",
    "understand": "understood",
}
_DOUBLED = bag(
    "get put set reset run rerun stop drop cut tag untag pin unpin log map unmap plan scan grep pop trim strip zip "
    "unzip flag unflag submit commit uncommit ban unban swap skip transfer expel cancel label relabel format bin dim "
    "zap crop begin forget permit plot quit zoom rid star unstar rip pan tap bar step split debug"
)


class Force(IntEnum):
    """What a verb does, in rising order of harm, so that `max` is the worst."""

    READ = 0
    NEUTRAL = 1
    WRITE = 2
    RUN = 3
    HARM = 4


@dataclass(frozen=True)
class Verb:
    """A word that may be a verb.

    Attributes:
        lemma: its base form.
        form: how it is inflected here.
        force: the worst that it usually does.
    """

    lemma: str
    form: Form
    force: Force


def forms_of(lemma: str) -> tuple[tuple[str, Form], ...]:
    """The forms of a verb as (word, form), the base form first."""
    if lemma.endswith(("s", "x", "z", "ch", "sh")) or lemma in ("do", "go", "undo", "echo"):
        third = lemma + "es"
    else:
        third = lemma[:-1] + "ies" if _changes_y(lemma) else lemma + "s"
    stems = [lemma]
    if lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")):
        stems = [lemma[:-1]]
    elif lemma in _DOUBLED:
        stems = [lemma + lemma[-1], lemma]  # both spellings: cancelling, canceling
    past = _PAST.get(lemma, "").split() or [(lemma[:-1] + "i" if _changes_y(lemma) else stem) + "ed" for stem in stems]
    found: list[tuple[str, Form]] = [(lemma, "base"), (third, "third")]
    found += [(stem + "ing", "gerund") for stem in stems]
    found += [(word, "past") for word in past if word != lemma]
    return tuple(found)


def _changes_y(lemma: str) -> bool:
    return lemma.endswith("y") and lemma[-2:-1] not in "aeiou"


def _forces() -> dict[str, Force]:
    forces: dict[str, Force] = {}
    for words, force in (
        (vocabulary.READ, Force.READ),
        (vocabulary.NEUTRAL, Force.NEUTRAL),
        (vocabulary.WRITE, Force.WRITE),
        (vocabulary.SEND, Force.WRITE),
        (vocabulary.RUN, Force.RUN),
        (vocabulary.HARM, Force.HARM),
    ):
        for lemma in words.split():
            forces[lemma] = max(force, forces.get(lemma, force))
    return forces


def _table() -> dict[str, Verb]:
    forces = _forces()
    table = {lemma: Verb(lemma, "base", force) for lemma, force in forces.items()}
    for lemma, force in forces.items():
        for word, form in forms_of(lemma):
            known = table.get(word)
            if known is None or (known.form != "base" and force > known.force):
                table[word] = Verb(lemma, form, force)
    for noun, lemma in vocabulary.NOMINAL.items():
        table.setdefault(noun, Verb(lemma, "base", forces[lemma]))
    return table


VERBS = _table()
PROSE_VERBS = {word: verb for word, verb in VERBS.items() if verb.lemma not in vocabulary.COMMANDS}
SENDING = frozenset(vocabulary.SEND.split())
