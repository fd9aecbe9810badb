"""Which tool may stand in for another, and what the model reads when none can."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import ContractConfig, FallbackConfig, ToolServerConfig
from interlock.guardrails.degraded import MAX_CHARS, Outage, Trouble, degraded
from interlock.guardrails.fallbacks import (
    Candidate,
    Failing,
    alternatives,
    choose,
    refuse_unknown_fallbacks,
)
from interlock.model import ActionClass, ConfigError, Decision, ToolLost, ToolRef, ToolTimeout, ToolUnavailable

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
READ, WRITE, DESTRUCTIVE = ActionClass.READ, ActionClass.WRITE, ActionClass.DESTRUCTIVE
SEARCH = ToolRef("web", "search")


def failing(
    action_class: ActionClass = READ,
    egress: bool = False,
    decision: Decision = Decision.ALLOW,
    trouble: Trouble = Trouble.NOT_READY,
) -> Failing:
    return Failing(SEARCH, action_class, egress, decision, trouble)


def candidate(
    name: str = "other.find",
    action_class: ActionClass = READ,
    egress: bool = False,
    decision: Decision = Decision.ALLOW,
    obstacle: str | None = None,
) -> Candidate:
    return Candidate(ToolRef.parse(name), {}, action_class, egress, decision, obstacle)


class TestAlternatives:
    def test_without_args_they_are_the_same(self) -> None:
        (one,) = alternatives([FallbackConfig(tool="other.find")], {"q": "x", "n": 3})
        assert (one.ref, one.args, one.gap) == (ToolRef("other", "find"), {"q": "x", "n": 3}, None)

    def test_args_are_put_in_as_values_and_into_texts(self) -> None:
        template = {"query": "{q}", "limit": "{n}", "url": "https://x/{q}", "kind": "all", "in": [{"a": "{n}"}]}
        (one,) = alternatives([FallbackConfig(tool="other.find", args=template)], {"q": "x", "n": 3})
        assert one.args == {"query": "x", "limit": 3, "url": "https://x/x", "kind": "all", "in": [{"a": 3}]}

    def test_what_the_call_does_not_have_is_left_out_or_a_gap(self) -> None:
        template = {"query": "{q}", "limit": "{n}"}
        (one,) = alternatives([FallbackConfig(tool="other.find", args=template)], {"q": "x"})
        assert one.args == {"query": "x"}
        (gap,) = alternatives([FallbackConfig(tool="other.find", args={"url": "https://x/{id}"})], {"q": "x"})
        assert gap.gap == "the call has no argument 'id'"
        assert gap.args == {}

    def test_they_must_name_a_configured_server(self) -> None:
        def servers(tool: str) -> dict[str, ToolServerConfig]:
            contract = ContractConfig(fallbacks=[FallbackConfig(tool=tool)])
            return {
                "web": ToolServerConfig(command="x", contracts={"search": contract}),
                "other": ToolServerConfig(command="x"),
            }

        refuse_unknown_fallbacks(servers("other.find"))
        for wrong in ("nobody.find", "search", "web.search"):
            with pytest.raises(ConfigError, match=r"tools\.web\.contracts\.search\.fallbacks\[0\]"):
                refuse_unknown_fallbacks(servers(wrong))


class TestChoice:
    def test_the_first_that_may(self) -> None:
        choice = choose(failing(), [candidate("a.x", obstacle="not ready"), candidate("b.x"), candidate("c.x")])
        assert choice.taken is not None
        assert str(choice.taken.ref) == "b.x"
        assert choice.sentence == (
            "b.x stands in for web.search (not_ready): class read (of read), egress false; not a.x (not ready)"
        )

    @pytest.mark.parametrize(
        ("one", "why"),
        [
            (candidate(action_class=WRITE), "it is write, and the call is read"),
            (candidate(egress=True), "data could leave by it"),
            (candidate(decision=Decision.DENY), "the policy denies it"),
            (candidate(decision=Decision.ASK), "it would need a person, and the call did not"),
            (candidate(obstacle="not granted"), "not granted"),
            (candidate("web.search"), "it is the same tool"),
        ],
    )
    def test_what_may_not(self, one: Candidate, why: str) -> None:
        choice = choose(failing(), [one])
        assert choice.taken is None
        assert choice.passed_over == ((one.ref, why),)
        assert why in choice.sentence

    def test_nothing_declared(self) -> None:
        assert choose(failing(), []).sentence == "nothing stands in for web.search (not_ready): none is declared"

    def test_one_that_needs_no_person_goes_first(self) -> None:
        asks = failing(WRITE, decision=Decision.ASK)
        choice = choose(asks, [candidate("a.x", WRITE, decision=Decision.ASK), candidate("b.x", READ)])
        assert choice.taken is not None
        assert str(choice.taken.ref) == "b.x"

    @pytest.mark.parametrize("trouble", [Trouble.TIMEOUT, Trouble.LOST])
    def test_what_may_have_been_done_is_not_done_elsewhere(self, trouble: Trouble) -> None:
        assert choose(failing(WRITE, trouble=trouble), [candidate()]).taken is None
        assert choose(failing(READ, trouble=trouble), [candidate()]).taken is not None

    @given(
        st.builds(
            failing, st.sampled_from(ActionClass), st.booleans(), st.sampled_from(Decision), st.sampled_from(Trouble)
        ),
        st.lists(
            st.builds(
                candidate,
                st.sampled_from(["a.x", "b.x", "web.search"]),
                st.sampled_from(ActionClass),
                st.booleans(),
                st.sampled_from(Decision),
                st.sampled_from([None, "not ready"]),
            ),
            max_size=6,
        ),
    )
    def test_never_higher_never_more_egress_never_twice(self, call: Failing, candidates: list[Candidate]) -> None:
        taken = choose(call, candidates).taken
        if taken is not None:
            assert taken in candidates
            assert taken.action_class.rank <= call.action_class.rank
            assert call.egress or not taken.egress
            assert taken.decision is not Decision.DENY
            assert taken.decision.rank <= call.decision.rank
            assert taken.obstacle is None
            assert taken.ref != call.ref
            assert call.action_class is READ or not call.trouble.sent


class TestDegraded:
    def test_it_says_what_why_since_when_what_was_tried_and_what_to_do(self) -> None:
        outage = Outage(
            SEARCH,
            Trouble.BREAKER_OPEN,
            "no answer within 60 s",
            NOW - datetime.timedelta(minutes=3),
            17.2,
            [(ToolRef("other", "find"), "its server is parked")],
        )
        result = degraded(outage, NOW)
        assert not result.ok
        assert result.text == (
            "Not available: web.search. It failed several times in a row and is left alone for now, since 3 min: "
            "no answer within 60 s. Instead of it nothing could be used: other.find (its server is parked). "
            "Try again in 18 s at the earliest, if it is worth the wait; "
            "else go on without it, and say in your result that web.search could not be used and what is missing."
        )
        assert result.structured == {
            "unavailable": "web.search",
            "why": "breaker_open",
            "retry_after_s": 18,
            "since": "2025-12-31T23:57:00+00:00",
            "tried": ["other.find"],
        }

    def test_the_shortest(self) -> None:
        text = degraded(Outage(SEARCH, Trouble.LOST), NOW).text
        assert text == (
            "Not available: web.search. Its server died during the call. "
            "Go on without it, and say in your result that web.search could not be used and what is missing."
        )

    def test_secrets_and_control_characters_stay_out_and_it_is_bounded(self) -> None:
        reason = "x\x1b[2J\n token=abcdef123456 " + "y" * 5000
        tried = [(ToolRef("s" * 63, f"t{n}" * 30), reason) for n in range(8)]
        text = degraded(Outage(ToolRef("s" * 63, "n" * 64), Trouble.TIMEOUT, reason, NOW, 1e6, tried), NOW).text
        assert "abcdef123456" not in text
        assert text.isprintable()
        assert len(text) <= MAX_CHARS
        assert text.endswith("what is missing.")

    def test_what_errors_mean(self) -> None:
        errors = (ToolTimeout("x"), ToolLost("x"), ToolUnavailable("x"))
        assert [Trouble.of(error) for error in errors] == [Trouble.TIMEOUT, Trouble.LOST, Trouble.NOT_READY]
