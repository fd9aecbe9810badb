"""What a description says a tool does: the verbs of its first sentence, and what later ones own up to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from interlock.guardrails.classes import vocabulary
from interlock.guardrails.classes.senses import Sense, sense
from interlock.guardrails.classes.tables import bag
from interlock.guardrails.classes.verbs import PROSE_VERBS as VERBS
from interlock.guardrails.classes.verbs import Force, Form, Verb
from interlock.guardrails.classes.words import sentences, tokens

_MAX_SENTENCES = 60
_SECTION = re.compile(
    r"^\s*[#*_]*\s*(?:args?|arguments?|param(?:eter)?s?|inputs?|returns?|outputs?|yields|raises|examples?|usage|response"
    r"|see also|related|next steps?|use cases?|useful for|when to use|tips?)\b[^\n]{0,40}?:[*_]*\s*(?:$|\S)",
    re.IGNORECASE | re.MULTILINE,
)
_OPENERS = bag(
    """
    this the a an tool tools function command endpoint method operation api action utility it that which to you your
    users user agents agent can will may is are used please simply also bulk batch mass optionally i we us just
    clients client llm new one designed meant intended easily tooling helper wrapper call
    """
)
_CONDITIONS = bag(
    """
    given for if when with based in on once after before by using without as from while during at under depending
    """
)
_JOINS = frozenset([",", "and", "or", "/", "&", "then", "plus", "also", "+", "->"])
_BECKONS = frozenset([("start", "here"), ("read", "first"), ("read", "this")])
_BREAKS = bag(": ; ( ) | \u2013 \u2014 ->")
_DETERMINERS = bag(
    """
    a an the all any its it their them this that these those each every one new existing multiple several specific
    some your his her my our another both either selected specified given single many more up down from to in into
    on with by via for as
    """
)
_PREPOSITIONS = bag("from to in on with by via for as of")
_PURPOSE = bag(
    """
    for before when after without than of need needed required available while about from
    """
)
_GUIDES = bag(
    """
    use prefer call see if when before after for example examples e.g. avoid do don't never you always note useful
    returns return requires require required specify provide pass set first then instead otherwise unless returned
    default defaults ideal perfect best supports_only tip tips where however while only not by in as at or and
    """
)
_SELF = bag(
    """
    this it also will can may supports support allows allow enables enable warning caution danger important side
    beware
    """
)
_CONFESSING = bag("this it also will warning caution danger additionally afterwards")
_NEGATIONS = bag(
    """
    not never no without cannot neither nor nothing none doesnt dont wont isnt non instead rather
    """
)
_READ_NOUNS = bag(
    """
    information info detail details list listing status overview summary statistics stats metadata history log logs
    documentation lookup search finder viewer reader query count breakdown report view snapshot preview guide
    """
)
_COMPLETE_LOSS = bag(
    """
    delete remove erase wipe purge prune drop truncate destroy discard clear flush uninstall terminate kill revoke
    reset evict deploy install restart reboot execute run grant merge cancel eradicate shred empty shutdown disable
    undo overwrite_all trash unlink rotate rollback revert roll
    """
)


@dataclass(frozen=True)
class ProseSays:
    """The verbs of a description.

    Attributes:
        lead: what the first sentence with a verb says that the tool does.
        more: what later sentences add that is worse.
        vague: its first verb says nothing (`manage`, `handle`).
    """

    lead: tuple[Sense, ...] = ()
    more: tuple[Sense, ...] = ()
    vague: bool = False

    @property
    def force(self) -> Force | None:
        """The worst that it says; None if no verb of it is known."""
        return max((found.force for found in (*self.lead, *self.more)), default=None)


def read_prose(description: str) -> ProseSays:
    """What a description (already without hidden characters) says."""
    section = _SECTION.search(description, 1)
    end = len(description) if section is None or not description[: section.start()].strip() else section.start()
    text, rest = description[:end], description[end:]
    parts = [tokens(part) for part in sentences(text)[:_MAX_SENTENCES]]
    for at, part in enumerate(parts[:4]):
        lead, vague = _lead(part)
        if lead or vague:
            after = [clause for part in parts[at:] for clause in _clauses(part)][1:]
            more = [found for clause in after for found in _later(clause)]
            more += _confessions(rest)
            return ProseSays(tuple(lead), tuple(more), vague)
    return ProseSays()


def _clauses(words: Sequence[str]) -> list[Sequence[str]]:
    """A sentence in its parts: before and after a colon, a dash, a bracket."""
    found: list[Sequence[str]] = []
    start = 0
    for at, word in enumerate(words):
        if word in _BREAKS:
            found.append(words[start:at])
            start = at + 1
    found.append(words[start:])
    return found


def _confessions(text: str) -> list[Sense]:
    """What is lost by the tool as the sections about arguments and results say: "Also deletes the original."."""
    found: list[Sense] = []
    for part in sentences(text)[:_MAX_SENTENCES]:
        words = tokens(part)
        if words and words[0] in _CONFESSING:
            found += [one for one in _owned(words) if one.force is Force.HARM]
    return found


def _lead(words: Sequence[str]) -> tuple[list[Sense], bool]:
    """The verbs of a first sentence, and whether its first verb says nothing."""
    words = ["|", *words[2:]] if tuple(words[:2]) in _BECKONS else words
    labels = _label_end(words)
    words = words[labels:]
    at = _first(words)
    if at is None:
        return _noun_lead(words), False
    verb = VERBS[words[at]]
    opening = sense(words, at)
    if opening is not None and opening.force is Force.NEUTRAL:
        done = _what_is_performed(words, at)
        found = [done] if done is not None else []
        found += [one for one in _all_verbs(words, at + 1) if one.force > Force.NEUTRAL]
        return found, done is None
    found = list(_joined(words, at, verb.form))
    return found, False


def _what_is_performed(words: Sequence[str], at: int) -> Sense | None:
    """What is done in "perform a click" or "does an analysis of ..."."""
    if VERBS[words[at]].lemma not in ("perform", "do", "conduct", "carry", "make"):
        return None
    for place in range(at + 1, min(len(words), at + 6)):
        if words[place] in vocabulary.DEEDS and words[place] in VERBS:
            return sense(words, place)
        if not words[place].isalpha() or words[place] in _PREPOSITIONS:
            break
    return None


def _label_end(words: Sequence[str]) -> int:
    """Where the sentence begins after a label such as `Jira:` or `Notion |`."""
    for at, word in enumerate(words[:5]):
        if word in (":", "|") and not any(VERBS.get(one) for one in words[:at]):
            return at + 1
    return 0


def _first(words: Sequence[str]) -> int | None:
    """The place of the first verb that says what is done."""
    at = 0
    if words and words[0] in _CONDITIONS and "," in words[:25]:
        at = words.index(",") + 1
    while at < len(words):
        word = words[at]
        verb = VERBS.get(word)
        if verb is not None and verb.form != "past":
            named = words[at + 1 : at + 2] == ["tool"]
            if not named and (verb.lemma not in vocabulary.TRANSPARENT or not _followed(words, at)):
                return at
        elif word not in _OPENERS and not word.endswith("ly") and word not in vocabulary.TRANSPARENT:
            return _after_relative(words, at)
        elif word in ("for", "to") and at + 1 < len(words) and words[at + 1] not in VERBS:
            return None
        at += 1
    return None


def _followed(words: Sequence[str], at: int) -> bool:
    """Whether another verb comes soon, so that this one only says that it is possible."""
    return any(word in VERBS and VERBS[word].form in ("base", "gerund") for word in words[at + 1 : at + 7])


def _after_relative(words: Sequence[str], start: int) -> int | None:
    """The verb in "a tool that lists ...", "utility to list ...", "helper for listing ..."; or a joined third form."""
    for at in range(start + 1, min(len(words), start + 14)):
        verb = VERBS.get(words[at])
        if verb is None:
            continue
        before = words[at - 1]
        if before in ("that", "which") and verb.form == "third":
            return at
        if before == "to" and verb.form == "base" and verb.lemma not in vocabulary.TRANSPARENT:
            return at
        if before == "for" and verb.form == "gerund" and verb.lemma not in vocabulary.TRANSPARENT:
            return at
    return None


def _noun_lead(words: Sequence[str]) -> list[Sense]:
    """A first sentence without a verb: "Details of an order", "Write operations for labels"."""
    found = [one for one in _all_verbs(words, 0) if one.force is not Force.READ]
    if found:
        return found
    for at, word in enumerate(words[:8]):
        if word in _READ_NOUNS:
            return [Sense(VERBS["get"], Force.READ, " ".join(words[at : at + 3]))]
    return []


def _all_verbs(words: Sequence[str], start: int) -> list[Sense]:
    found = []
    for at in range(start, len(words)):
        verb = VERBS.get(words[at])
        if verb is None or verb.form == "past" or verb.lemma in vocabulary.TRANSPARENT or _negated(words, at):
            continue
        if verb.lemma in vocabulary.ADJECTIVES and verb.form != "gerund" and not _verbal(words, at):
            continue
        one = sense(words, at)
        if one is not None:
            found.append(one)
    return found


def _joined(words: Sequence[str], at: int, form: Form, *, strict: bool = False) -> Iterator[Sense]:
    """The verb at `at`, and all that are joined to it: "list, create, or delete", "finds and then removes"."""
    first = sense(words, at)
    if first is not None:
        yield first
    for place in range(at + 1, len(words)):
        verb = VERBS.get(words[place])
        if verb is None:
            if _unknown_verb(words, place):
                yield Sense(Verb(words[place], form, Force.HARM), Force.HARM, " ".join(words[place : place + 2]))
        elif _is_joined(words, place, at, strict=strict):
            found = sense(words, place)
            if found is not None:
                yield found


def _is_joined(words: Sequence[str], place: int, head: int, *, strict: bool) -> bool:
    """Whether the verb at `place` says something more that is done, as the one at `head` does."""
    verb = VERBS[words[place]]
    if verb.lemma in vocabulary.TRANSPARENT or verb.force is Force.NEUTRAL or not _joins(words, place, head):
        return False
    if verb.form == VERBS[words[head]].form:
        meant = verb.lemma not in vocabulary.ADJECTIVES or _verbal(words, place, strict=strict)
        return meant and not _negated(words, place)
    return verb.form == "gerund" and verb.force > Force.READ and not _purpose(words, place)


def _unknown_verb(words: Sequence[str], place: int) -> bool:
    """In "lists rows and zorks them", whatever zorking is, it is done to them."""
    following = words[place + 1 : place + 2]
    return words[place].isalpha() and words[place - 1] in ("and", "then") and following in (["them"], ["it"])


def _joins(words: Sequence[str], place: int, head: int) -> bool:
    before = place - 1
    while before > 0 and (words[before].endswith("ly") or words[before] in ("then", "also", "to")):
        before -= 1
    if words[before] not in _JOINS and words[before] not in ("by", "including", "while"):
        return False
    # "Get view and edit restrictions": nothing but a noun that looks like a verb stands between them
    between = VERBS.get(words[head + 1])
    return not (before == head + 2 and between is not None and between.form == "base")


def _purpose(words: Sequence[str], place: int) -> bool:
    return any(word in _PURPOSE for word in words[max(0, place - 8) : place])


def _verbal(words: Sequence[str], place: int, *, strict: bool = False) -> bool:
    """Whether a word that may be a noun is used as a verb here: something to act on comes next."""
    if place + 1 >= len(words):
        return False
    following = words[place + 1]
    if following in _DETERMINERS:
        return following not in _PREPOSITIONS or words[place - 1] == "to"
    if following in _JOINS or following in ("(", ".", "|"):
        after = VERBS.get(words[place + 2]) if place + 2 < len(words) else None
        return after is not None and after.form == VERBS[words[place]].form
    return not strict and following.endswith("s") and following not in VERBS


def _negated(words: Sequence[str], place: int) -> bool:
    return any(word in _NEGATIONS for word in words[max(0, place - 4) : place])


def _later(words: Sequence[str]) -> Iterator[Sense]:
    """What a later sentence says the tool itself does, if it is worse than reading."""
    if not words:
        return
    first = VERBS.get(words[0])
    about_itself = words[0] in _SELF or (
        first is not None
        and first.form == "third"
        and words[0] not in _GUIDES
        and len(words) > 1
        and words[1].isalpha()
        and (words[1] not in _JOINS or (len(words) > 2 and words[2] in VERBS))
        and (
            first.lemma not in vocabulary.ADJECTIVES or first.lemma in _COMPLETE_LOSS or _verbal(words, 0, strict=True)
        )
    )
    if about_itself:
        yield from _owned(words)
    elif words[0] not in _GUIDES and first is not None and first.form == "base" and first.lemma in _COMPLETE_LOSS:
        found = sense(words, 0)
        if found is not None and found.force is Force.HARM and first.lemma not in vocabulary.ADJECTIVES:
            yield found


def _owned(words: Sequence[str]) -> Iterator[Sense]:
    start = _first(words)
    if start is None or _negated(words, start):
        return
    form = VERBS[words[start]].form
    for found in (*_joined(words, start, form, strict=True), *_gerunds(words, start)):
        grave = found.force is Force.HARM and found.verb.lemma in _COMPLETE_LOSS
        if grave or found.force is Force.WRITE:
            yield found


def _gerunds(words: Sequence[str], start: int) -> Iterator[Sense]:
    """Supports adding, updating and deleting ..."""
    if not any(word in ("supports", "support", "including", "allows", "allow", "by") for word in words):
        return
    for at in range(start, len(words)):
        verb = VERBS.get(words[at])
        if verb is None or verb.form != "gerund" or _negated(words, at):
            continue
        if verb.lemma not in vocabulary.TRANSPARENT:
            found = sense(words, at)
            if found is not None:
                yield found
