"""The catalogue of errors: one code each, a hint each, a section of the documentation each."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from interlock.model import InterlockError, catalog


def tree(error: type[InterlockError]) -> Iterator[type[InterlockError]]:
    """Every error below `error` that the product defines; a test's own ones do not count."""
    for child in error.__subclasses__():
        if child.__module__.startswith("interlock."):
            yield child
            yield from tree(child)


ERRORS = sorted(set(tree(InterlockError)), key=lambda error: error.__name__)


def test_codes_are_unique() -> None:
    assert [code for code, count in Counter(error.code for error in ERRORS).items() if count > 1] == []


def test_the_catalogue_is_complete() -> None:
    assert sorted(catalog().values(), key=lambda error: error.__name__) == ERRORS


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_says_what_happened_and_what_to_do(error: type[InterlockError]) -> None:
    assert "code" in vars(error), "has no code of its own"
    assert error.code.replace("_", "").isalnum()
    assert error.code.islower()
    assert error.hint.strip()
    assert (error.__doc__ or "").strip()
    assert error("it broke").docs_url.endswith(f"#{error.code}")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_is_documented_where_it_points_to(root: Path, error: type[InterlockError]) -> None:
    page, _, anchor = error("it broke").docs_url.partition("#")
    assert f"## {anchor}\n" in (root / page).read_text(encoding="utf-8")


def test_the_page_is_what_the_tree_says(root: Path, script: Callable[[str], ModuleType]) -> None:
    assert (root / "docs" / "errors.md").read_text(encoding="utf-8") == script("errors_doc").render()
