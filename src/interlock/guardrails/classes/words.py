"""From text to words: what a person would not see is taken out, names are taken apart, prose becomes sentences."""

import re
import unicodedata

MAX_NAME_CHARS = 256
MAX_TEXT_CHARS = 20_000

_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_TOKEN = re.compile(r"[a-z0-9_]+(?:['\u2019][a-z]+)?|[,;:/&()|+.\u2013\u2014-]|->")
_EMOJI_PARTS = frozenset("\u200d\ufe0e\ufe0f")
_EXTRA_HIDDEN = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_ASCII = re.compile(r"[\x20-\x7e\n\t\r]*\Z")
_SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)[.!?]+(?=\s|$|[*_)\"'])"
    r"|\n\s*\n|\n\s*(?=[-*\u2022#>]|\d+[.)])|;\s|\n(?![ \t]*[a-z(])"
)

_MARKUP = re.compile(r"[*`_#>~\"\u201c\u201d\[\]{}<>]+")
_CLITICS = {"it's": "it", "don't": "not", "doesn't": "not", "won't": "not", "can't": "not", "isn't": "not"}


def visible(text: str) -> tuple[str, bool]:
    """The text without what nobody can see (zero-width, directional, tag and control characters); was there any?

    Compatibility forms become the plain ones (full-width letters, ligatures), so that they do not hide a word.
    """
    text = text[:MAX_TEXT_CHARS]
    if _ASCII.match(text):
        return text, False
    kept = [char for char in unicodedata.normalize("NFKC", text) if char in "\n\t\r" or not _hidden(char)]
    clean = "".join(kept)
    emoji = sum(text.count(part) for part in _EMOJI_PARTS)
    hidden = any(_hidden(char) for char in text if char not in _EMOJI_PARTS and char not in "\n\t\r\ufeff\u00ad")
    return clean, hidden or emoji > len(text) // 8


def _hidden(char: str) -> bool:
    return char in _EXTRA_HIDDEN or unicodedata.category(char) in ("Cf", "Cc", "Co", "Cn", "Cs")


def mixed_scripts(text: str) -> bool:
    """Whether a word mixes Latin letters with look-alikes of other alphabets."""
    if text.isascii():
        return False
    return any(_mixed(word) for word in re.findall(r"\w+", text) if not word.isascii())


def _mixed(word: str) -> bool:
    alphabets = {unicodedata.name(char, "?").split()[0] for char in word if char.isalpha()}
    return "LATIN" in alphabets and bool(alphabets & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})


def name_words(name: str) -> list[str]:
    """The words of a name, whether it is written snake_case, camelCase, kebab-case or dotted; lower case."""
    return [part.lower() for part in _CAMEL.findall(name[:MAX_NAME_CHARS])]


def sentences(text: str) -> list[str]:
    """The sentences, lines and bullets of a text, without its markup."""
    parts = (_MARKUP.sub(" ", part).strip(" \t-\u2022\u2013\u2014.|") for part in _SENTENCE_END.split(text))
    return [part for part in parts if part]


def tokens(sentence: str) -> list[str]:
    """The words and the marks of a sentence, lower case; words keep no apostrophes."""
    found = _TOKEN.findall(sentence.lower().replace("\u2019", "'"))
    return [_CLITICS.get(token, token.partition("'")[0]) for token in found]


def singular(word: str) -> str:
    """A noun without its plural ending."""
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    return word[:-1]
