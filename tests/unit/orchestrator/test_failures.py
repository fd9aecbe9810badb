"""What kind of failure ended a run."""

import pytest

from interlock.model import Failure, InterlockError, ModelUnavailable, PlaybookFailed, UnknownModel
from interlock.orchestrator.segment import failure_of


@pytest.mark.parametrize(
    ("error", "refused", "failure"),
    [
        (PlaybookFailed("no"), False, Failure.TRANSIENT),
        (PlaybookFailed("no"), True, Failure.REFUSED),
        (ModelUnavailable("away"), False, Failure.TRANSIENT),
        (ModelUnavailable("away"), True, Failure.TRANSIENT),
        (UnknownModel("none"), False, Failure.BROKEN),
        (UnknownModel("none"), True, Failure.REFUSED),
    ],
)
def test_an_outage_is_tried_again_whatever_was_refused_before(
    error: InterlockError, refused: bool, failure: Failure
) -> None:
    assert failure_of(error, refused=refused) is failure
