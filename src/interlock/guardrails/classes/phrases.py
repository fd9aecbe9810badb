"""Phrases that give a tool away wherever they stand, and phrases that try to talk a reader out of asking.

All of them are looked for in text in lower case.
"""

import re

from interlock.guardrails.classes.tables import bag

_HARM = re.compile(
    r"""
    \b(?:can\s?not|can't|never|impossible\s+to)\s+(?:be\s+)?(?:undo|undone|revers\w+|recover\w*|restor\w+|revert\w*)
    | \b(?:is|are|be|action|operation|change|deletion|process)\s+irreversibl\w* | \birreversibl[ey]\s+(?!false)
    | \b(?:no|without)\s+(?:way\s+to\s+)?undo\b | \bunrecoverabl\w+ | \bnot\s+reversible\b | \bno\s+going\s+back\b
    | \bpermanent(?:ly)?\s+(?:and\s+\w+\s+)?(?:delet|remov|eras|destroy|los|wip|purg|drop|clos|disabl|discard)\w*
    | (?<!non-)(?<!not\s)(?<!non\s)\bdestructive\s+(?:operation|action|command|change|tool)\b
    | \b(?:cause|result\s+in|risk\s+of|lead\s+to)\s+(?:permanent\s+)?data\s+loss
    | \b(?:will|would|may|might|could|gets?|to)\s+(?:also\s+|then\s+|all\s+)?(?:be\s+)?(?:permanently\s+|immediately\s+)?
      (?:deleted|erased|wiped|destroyed|purged|lost|dropped|discarded|terminated|killed|revoked|uninstalled)\b
    | \b(?:extreme|great)\s+(?:caution|care)\b | \bextremely\s+dangerous\b | \bhighly\s+privileged\b
    """,
    re.VERBOSE,
)
_PASSIVE = re.compile(
    r"\b(?:is|are|gets?|being)\s+(?:then\s+|also\s+|permanently\s+|immediately\s+)?"
    r"(?:deleted|erased|wiped|destroyed|purged|discarded|overwritten\s+without)\b",
)
_RELATIVE = re.compile(r"\b(?:that|which|who|if|whether|when|where|once|until|after|before|unless|what|not)\b")
# The sentence speaks of another tool: "to remove it permanently, use delete_card".
_ELSEWHERE = re.compile(r"\b(?:use|call|see|prefer|try)\s+[`'\"]?[a-z]+[_-][a-z]\w+|\binstead\b")
_KEEPS = re.compile(
    r"\b(?:will\s+be|is\s+then|are\s+then|gets?|(?:results?|output|report|file|data)\s+(?:is|are))\s+(?:automatically\s+)?"
    r"(?:appended|written|saved|stored|persisted|exported|uploaded|inserted)\b"
    r"|\b(?:exports?|writes?|dumps?)\s[^.\n]{0,60}\bto\s+(?:an?|the|your)?\s*(?:local\s+)?(?:file|disk|folder|directory)\b",
)
_RUNS = re.compile(
    r"""
    \b(?:arbitrary|any\s+(?:valid\s+)?|raw|custom|free-?form|user[- ](?:supplied|provided|defined))\s*
      (?:javascript|js|python|shell|bash|sql|cypher|kubectl|git|docker|cli|system|terminal|ruby|lua|powershell|helm)?\s*
      (?:code|commands?|scripts?|statements?|sql|javascript|cypher|expressions?)\b
    | \bremote\s+code\s+execution | \brce\b | \bunsandboxed | \bas\s+root\b | \bwith\s+sudo\b
    """,
    re.VERBOSE,
)
_READ_ONLY = re.compile(
    r"""
    \bread[-\s]?only\b | \bonly\s+(?:select|read|match)\b | \bselect\s+(?:quer(?:y|ies)|statements?)\b
    | \b(?:select|read|match)[-\s]only\b | \bread\s+(?:cypher|sql|query|queries)\b
    """,
    re.VERBOSE,
)
_READ_LANGUAGE = re.compile(
    r"\b(?:promql|logql|traceql|jql|lucene|kql|kusto|xpath|jsonpath|jmespath|regex(?:p|es)?|regular\s+expression|cel|"
    r"glob|jq|insights?|cron|selector|search\s+(?:query|syntax|string|terms?)|full[- ]text|natural[- ]language)\b",
)
_QUERY_LANGUAGE = re.compile(
    r"\b(?:sql|cypher|gremlin|sparql|graphql|aql|n1ql|partiql|hql|pl/?pgsql|dml|ddl)\b|mongodb\s+command", re.IGNORECASE
)
_CODE_LANGUAGE = re.compile(
    r"\b(?:javascript|typescript|python|bash|shell|lua|ruby|powershell|perl|groovy|node\.?js|executable|evaluated?|"
    r"\(\)\s*=>|lambda)\b|=>",
)
_PLEADING = re.compile(
    r"""
    \b(?:without|no\s+need\s+(?:for|to)|skip(?:ping)?|bypass(?:ing)?|don'?t|do\s+not|never|not\s+require|requires?\s+no)\s+
      (?:\w+\s+){0,2}(?:ask(?:ing)?|approv\w+|confirm\w*|permission|consent|review\b|prompt(?:ing)?)
    | \b(?:tool|call|action|operation|function|it)\s+is\s+(?:\w+\s+)?(?:completely\s+|totally\s+|perfectly\s+|always\s+)?
      (?:safe|harmless)\b
    | \b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+)?(?:previous|prior|above|earlier|other)\s+
      (?:instruction|rule|polic|prompt|message)
    | \b(?:classif(?:y|ied)|treat(?:ed)?|consider(?:ed)?|regard(?:ed)?)\s+(?:this\s+|it\s+)?
      (?:tool\s+|call\s+)?as\s+(?:a\s+)?(?:safe|read|harmless|non-?destructive|trusted|benign|low)
    | \b(?:auto|always)[-\s]?(?:approve|allow|accept)\b | \bpre-?approved\b | <\s*(?:important|system|instructions?)\s*>
    | \bdo\s+not\s+(?:tell|mention|inform|show|reveal)\b
    """,
    re.VERBOSE,
)
# Without one of these words, the patterns need not be tried.
_HARM_WORDS = tuple(
    bag(
        "undo revers recover restor revert irrevers no going permanent destruct loss delet eras wip destroy purg lost drop "
        "discard terminat kill revok uninstall caution great dangerous privileged overwritten"
    )
)
_RUNS_WORDS = tuple(bag("arbitrary any raw custom free user remote rce unsandboxed root sudo"))
_PLEADING_WORDS = tuple(
    bag(
        "ask approv confirm permission consent review prompt safe harmless ignore disregard forget classif treat consider "
        "regard auto always < not tell mention inform show reveal"
    )
)
_KEEPS_WORDS = tuple(bag("append writ sav stor persist export upload insert download dump"))


def _any(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return " ".join(match.group(0).split())[:60] if match else None


def harm(text: str) -> str | None:
    """The words that say that something is lost for good."""
    if not _any(_HARM_WORDS, text):
        return None
    for match in _PASSIVE.finditer(text):
        if not _RELATIVE.search(text, max(0, match.start() - 40), match.start()):
            return " ".join(match.group(0).split())[:60]
    for match in _HARM.finditer(text):
        start, end = _sentence(text, match.start(), match.end())
        if not _ELSEWHERE.search(text, start, end):
            return " ".join(match.group(0).split())[:60]
    return None


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence around a place begins and ends."""
    marks = (". ", "; ", "\n")
    after = [place for mark in marks if (place := text.find(mark, end)) >= 0]
    return max(text.rfind(mark, 0, start) for mark in marks) + 1, min(after, default=len(text))


def runs(text: str) -> str | None:
    """The words that say that whatever it is given is run."""
    return _found(_RUNS, text) if _any(_RUNS_WORDS, text) else None


def keeps(text: str) -> str | None:
    """The words that say that something is stored somewhere by it."""
    return _found(_KEEPS, text) if _any(_KEEPS_WORDS, text) else None


def pleading(text: str) -> str | None:
    """The words that try to decide for the reader, as no honest description needs to."""
    return _found(_PLEADING, text) if _any(_PLEADING_WORDS, text) else None


def read_only(text: str) -> bool:
    """Whether it says that it only reads."""
    return _READ_ONLY.search(text) is not None


def read_language(text: str) -> bool:
    """Whether a language is named in which one can only search."""
    return _READ_LANGUAGE.search(text) is not None


def query_language(text: str) -> bool:
    """Whether a language is named in which one can also change data."""
    return _QUERY_LANGUAGE.search(text) is not None


def code_language(text: str) -> bool:
    """Whether a language is named in which programs are written."""
    return _CODE_LANGUAGE.search(text) is not None
