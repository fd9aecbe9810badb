"""The circuit breaker, driven at random against what it promises."""

import datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from interlock.model import Breaker, BreakerPhase
from interlock.resilience import BreakerRule, breaking

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
RULE = BreakerRule(failures=3, cooldown_s=30.0)
PATIENCE_S = 60.0


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def opened() -> Breaker:
    state = Breaker()
    for second in range(RULE.failures):
        state = breaking.failed(state, RULE, at(second), "no answer")
    return state


def after_probe(state: Breaker, second: float) -> Breaker:
    """A probe that fails at once."""
    assert breaking.look(state, at(second)).probe
    probing = breaking.claimed(state, at(second), PATIENCE_S)
    return breaking.failed(probing, RULE, at(second), "still no answer", probe=True)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    state = Breaker()
    for second in range(2):
        state = breaking.failed(state, RULE, at(second), "no answer")
        assert breaking.look(state, at(second)).allowed
    state = breaking.succeeded(state)
    for second in range(2):
        state = breaking.failed(state, RULE, at(second), "no answer")
    assert breaking.phase(state, at(5)) is BreakerPhase.CLOSED
    state = breaking.failed(state, RULE, at(5), "no answer")
    told = breaking.look(state, at(6))
    assert (told.allowed, told.retry_after_s, told.reason, told.since) == (False, 29.0, "no answer", at(5))


def test_after_the_cooldown_one_call_tries_and_a_success_closes_it() -> None:
    state = opened()
    assert not breaking.look(state, at(31.9)).allowed
    assert breaking.look(state, at(32)).probe
    probing = breaking.claimed(state, at(32), PATIENCE_S)
    waiting = breaking.look(probing, at(40))
    assert (waiting.allowed, waiting.retry_after_s) == (False, 52.0)
    assert breaking.succeeded(probing, probe=True) == Breaker()


def test_a_probe_that_fails_doubles_the_wait_up_to_ten_minutes() -> None:
    state, waits, now_s = opened(), [], 2.0
    for _ in range(7):
        now_s += state.opened_for_s
        state = after_probe(state, now_s)
        waits.append(state.opened_for_s)
    assert waits == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]


def test_a_cooldown_above_ten_minutes_stays_as_it_is() -> None:
    assert BreakerRule(1, 3600.0).next_open_s(3600.0) == 3600.0


def test_failures_that_were_under_way_when_it_opened_do_not_prolong_it() -> None:
    state = opened()
    for second in range(3, 30):
        assert breaking.failed(state, RULE, at(second), "late") == state


def test_a_late_success_does_not_close_it() -> None:
    state = opened()
    assert breaking.succeeded(state) == state


def test_a_probe_that_died_blocks_nobody_after_its_deadline() -> None:
    probing = breaking.claimed(opened(), at(32), PATIENCE_S)
    assert not breaking.look(probing, at(91.9)).allowed
    assert breaking.look(probing, at(92)).probe


def test_a_probe_that_was_not_sent_is_given_to_the_next() -> None:
    probing = breaking.claimed(opened(), at(32), PATIENCE_S)
    assert breaking.look(breaking.given_up(probing), at(33)).probe


class Machine(RuleBasedStateMachine):
    """Many calls at one breaker: they start, end well, badly or never."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Breaker()
        self.now_s = 0.0
        self.plain = 0
        self.probes: list[float] = []  # deadlines of those whose end is not known
        self.in_a_row = 0

    @property
    def now(self) -> datetime.datetime:
        return at(self.now_s)

    @rule(seconds=st.sampled_from([0.1, 1.0, 29.0, 30.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def a_call_asks(self) -> None:
        told = breaking.look(self.state, self.now)
        was = breaking.phase(self.state, self.now)
        if told.probe:
            assert was is BreakerPhase.HALF_OPEN
            assert not [deadline for deadline in self.probes if deadline > self.now_s]
            self.state = breaking.claimed(self.state, self.now, PATIENCE_S)
            self.probes.append(self.now_s + PATIENCE_S)
            assert not breaking.look(self.state, self.now).allowed
        elif told.allowed:
            assert was is BreakerPhase.CLOSED
            self.plain += 1
        else:
            assert told.retry_after_s > 0
            assert breaking.look(self.state, self.now + datetime.timedelta(seconds=told.retry_after_s + 1e-3)).allowed

    @precondition(lambda self: self.plain)
    @rule(good=st.booleans())
    def a_call_ends(self, good: bool) -> None:
        self.plain -= 1
        before = self.state
        if good:
            self.state = breaking.succeeded(before)
            self.in_a_row = 0 if before.opened_at is None else self.in_a_row
        else:
            self.state = breaking.failed(before, RULE, self.now, "no answer")
            self.in_a_row += before.opened_at is None
        if before.opened_at is not None:
            assert self.state == before

    @precondition(lambda self: self.probes)
    @rule(good=st.booleans())
    def a_probe_ends(self, good: bool) -> None:
        self.probes.pop()
        before = self.state
        if good:
            self.state = breaking.succeeded(before, probe=True)
            assert self.state == Breaker()
            self.in_a_row = 0
            return
        self.state = breaking.failed(before, RULE, self.now, "no answer", probe=True)
        if before.opened_at is None:
            self.in_a_row += 1
        elif before.probe_until is not None:
            assert self.state.opened_for_s == min(600.0, 2 * before.opened_for_s)
            assert self.state.opened_at == self.now

    @invariant()
    def it_is_open_only_after_enough_failures(self) -> None:
        if self.state.opened_at is None:
            assert self.state.failures == self.in_a_row < RULE.failures
        else:
            assert self.state.failures >= RULE.failures
            assert RULE.cooldown_s <= self.state.opened_for_s <= 600.0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
