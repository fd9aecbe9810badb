"""How the tables of words are written: as running text."""


def bag(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
