"""The life of a task, driven at random: whatever happens, the invariants hold."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.model import (
    Answered,
    Blocked,
    CancelAsked,
    ChildrenEnded,
    Claimed,
    CloseRun,
    Conflict,
    CountState,
    Decided,
    EnqueueSegment,
    Event,
    Failure,
    Life,
    Parked,
    PutOff,
    Released,
    ReopenRun,
    Resolution,
    Resolved,
    RunFailed,
    StartRun,
    StopCause,
    Stopped,
    Stranded,
    TaskLimits,
    TaskState,
    Verified,
    WorkerLost,
    advance,
    meaning_of,
)
from interlock.model.lifecycle import TRANSITIONS

KINDS: tuple[type, ...] = get_args(Event)
FITTING = {state: [kind for kind in KINDS if (state, kind) in TRANSITIONS] for state in TaskState}
LIMITS = TaskLimits(max_runs=3, max_crashes=2, retry_delay_s=2.0)


def life(state: TaskState = TaskState.QUEUED, **changes: Any) -> Life:
    base = Life(state, "in the queue", 1, 0, 0, cancel_requested=False, limits=LIMITS)
    return Life(**{**base.__dict__, **changes})


STEPS_AT_LEAST = 100_000
BYTES = 4 * 120  # of one example: a hundred and twenty events, each chosen by four bytes

# Where a task may come to from each state, written down once more, by hand.
S = TaskState
ENDS_OF_A_RUN = {S.QUEUED, S.WAITING_RETRY, S.ESCALATED, S.FAILED, S.CANCELLED, S.TIMED_OUT}
LEGAL: dict[TaskState, set[TaskState]] = {
    S.QUEUED: {S.QUEUED, S.RUNNING, S.CANCELLED, S.ESCALATED},
    S.DELAYED: {S.QUEUED, S.RUNNING, S.CANCELLED, S.ESCALATED, S.DELAYED},
    S.WAITING_RETRY: {S.QUEUED, S.RUNNING, S.CANCELLED, S.ESCALATED, S.WAITING_RETRY},
    S.RUNNING: {S.RUNNING, S.WAITING_APPROVAL, S.WAITING_CHILDREN, S.VERIFYING, S.COMPLETED} | ENDS_OF_A_RUN,
    S.VERIFYING: {S.VERIFYING, S.WAITING_APPROVAL, S.WAITING_CHILDREN, S.COMPLETED} | ENDS_OF_A_RUN,
    S.WAITING_APPROVAL: {S.QUEUED, S.CANCELLED},
    S.ESCALATED: {S.QUEUED, S.COMPLETED, S.FAILED, S.CANCELLED, S.ESCALATED},
    S.WAITING_CHILDREN: {S.WAITING_CHILDREN, S.QUEUED, S.CANCELLED},
    **{state: set() for state in TaskState if state.final},
}


def event_of(kind: type, life: Life, dice: int) -> Event:
    """An event of a kind, as a number chooses; those with a segment mostly name the present one."""
    number = life.segment_no if dice % 8 else dice % 5
    reason, flag = f"because of {dice}", bool(dice & 1)
    made: dict[type, Callable[[], Event]] = {
        Claimed: lambda: Claimed(number),
        PutOff: lambda: PutOff(number, ("halt", "pause", "full")[dice % 3], reason),
        Released: Released,
        Parked: lambda: Parked(dice % 3, dice // 3 % 3),
        ChildrenEnded: lambda: ChildrenEnded(reason, flag),
        Decided: lambda: Decided(reason),
        Answered: lambda: Answered(dice % 3),
        Verified: Verified,
        RunFailed: lambda: RunFailed(reason, list(Failure)[dice % len(Failure)], flag, not dice // 2 % 3),
        Blocked: lambda: Blocked(reason),
        Stopped: lambda: Stopped(list(StopCause)[dice % len(StopCause)], reason),
        CancelAsked: lambda: CancelAsked("ann"),
        WorkerLost: lambda: WorkerLost(reason),
        Stranded: lambda: Stranded(reason),
        Resolved: lambda: Resolved(list(Resolution)[dice % len(Resolution)], "ann", reason, flag),
    }
    assert set(made) == set(get_args(Event))
    return made[kind]()


def check_step(before: Life, after: Life, commands: tuple[object, ...]) -> None:
    """What must hold over every step, whatever the event was."""
    assert after.reason, "every state says why"
    assert after.run_no - before.run_no in (0, 1)
    assert after.segment_no - before.segment_no in (0, 1)
    enqueued = [c for c in commands if isinstance(c, EnqueueSegment)]
    assert len(enqueued) == after.segment_no - before.segment_no, "a segment is enqueued when, and only when, it is new"
    assert all(c.segment_no == after.segment_no and c.delay_s >= 0 for c in enqueued)
    started = [c for c in commands if isinstance(c, StartRun)]
    assert len(started) == after.run_no - before.run_no
    if after.state.final:
        assert not before.state.final
        assert CountState(after.state) in commands
        assert CloseRun(before.run_no, after.state) in commands
        assert not enqueued
    if after.state is TaskState.ESCALATED and before.state is not TaskState.ESCALATED:
        assert CountState(TaskState.ESCALATED) in commands
    aside = (TaskState.QUEUED, TaskState.WAITING_CHILDREN)
    assert after.parked is None or (after.state in aside and not enqueued), "set aside is in no queue"
    assert after.rung - before.rung in (0, len(started)), "only a new run has a stronger model"
    if before.cancel_requested and before.state.held:
        assert after.state.final or after.state in (before.state, TaskState.VERIFYING), "it never goes on"


@dataclass
class Walk:
    """All that the examples have done together.

    Attributes:
        steps: events that a task took.
        seen: the states that tasks were in, with the reason for one of them.
    """

    steps: int = 0
    seen: dict[TaskState, str] = field(default_factory=dict)

    def go(self, present: Life, choices: bytes) -> None:
        """Let events happen to a task: three of four fit its state, the others are any; after its end, to the next one."""
        first = present
        for at in range(0, len(choices) - 3, 4):
            fits, which, *dice = choices[at : at + 4]
            fitting = FITTING[present.state] if fits % 4 else ()
            kind = (fitting or KINDS)[which % len(fitting or KINDS)]
            event = event_of(kind, present, dice[0] << 8 | dice[1])
            after = self._step(present, event)
            present = first if after.state.final and fits % 3 else after

    def _step(self, before: Life, event: Event) -> Life:
        try:
            after, commands = advance(before, event)
        except Conflict:
            stale = isinstance(event, Claimed | PutOff) and event.segment_no != before.segment_no
            free = isinstance(event, Released) and before.parked is None
            assert stale or free or (before.state, type(event)) not in TRANSITIONS
            return before
        self.steps += 1
        self.seen[after.state] = after.reason
        assert (before.state, type(event)) in TRANSITIONS
        assert after.state in LEGAL[before.state], f"{before.state} -> {after.state} by {event}"
        check_step(before, after, commands)
        return after


def test_a_hundred_thousand_steps_keep_the_invariants() -> None:
    walk = Walk()

    @settings(max_examples=1600, deadline=None)
    @given(st.sampled_from([S.QUEUED, S.DELAYED]), st.binary(min_size=BYTES, max_size=BYTES))
    def drive(state: TaskState, choices: bytes) -> None:
        walk.go(life(state), choices)

    drive()
    assert walk.steps >= STEPS_AT_LEAST
    assert set(walk.seen) == set(TaskState) - {S.REJECTED}, "what is refused is not kept"
    assert all(len(reason.split()) > 1 for reason in walk.seen.values()), "a reason is more than a word"
    assert all(len(meaning_of(state).split()) > 3 for state in TaskState)


@pytest.mark.parametrize("state", [state for state in TaskState if state.final])
@pytest.mark.parametrize("kind", get_args(Event))
def test_a_final_task_never_changes(kind: type, state: TaskState) -> None:
    for dice in range(16):
        with pytest.raises(Conflict, match="is final"):
            advance(life(state), event_of(kind, life(state), dice))


def test_every_state_that_is_not_final_can_reach_a_final_one() -> None:
    reaching = {state for state in TaskState if state.final}
    grown = True
    while grown:
        grown = False
        for state, kind in TRANSITIONS:
            if state in reaching:
                continue
            for event in _samples(kind):
                after, _ = advance(life(state, parked="halt" if kind is Released else None), event)
                if after.state in reaching:
                    reaching.add(state)
                    grown = True
    assert reaching == set(TaskState)


def _samples(kind: type) -> list[Event]:
    every: dict[type, list[Event]] = {
        Claimed: [Claimed(0)],
        PutOff: [PutOff(0, "halt", "x")],
        Released: [Released()],
        Parked: [Parked(0), Parked(1), Parked(0, 1)],
        ChildrenEnded: [ChildrenEnded("x")],
        Decided: [Decided("x")],
        Answered: [Answered(0), Answered(1)],
        Verified: [Verified()],
        RunFailed: [RunFailed("x", kind, True) for kind in Failure],
        Blocked: [Blocked("x")],
        Stopped: [Stopped(cause, "x") for cause in StopCause],
        CancelAsked: [CancelAsked("x")],
        WorkerLost: [WorkerLost("x")],
        Stranded: [Stranded("x")],
        Resolved: [Resolved(r, "x", "y") for r in Resolution],
    }
    assert set(every) == set(get_args(Event))
    return every[kind]


def test_a_run_that_fails_is_tried_again_later_each_time_with_twice_the_delay() -> None:
    first, commands = advance(life(TaskState.RUNNING), RunFailed("timeout", Failure.TRANSIENT, clean=True))
    assert (first.state, first.run_no) == (TaskState.WAITING_RETRY, 2)
    assert EnqueueSegment(1, 2.0) in commands
    running, _ = advance(first, Claimed(1))
    second, commands = advance(running, RunFailed("timeout", Failure.TRANSIENT, clean=False))
    assert EnqueueSegment(2, 4.0) in commands
    assert StartRun(3, False, "timeout") in commands
    running, _ = advance(second, Claimed(2))
    third, _ = advance(running, RunFailed("timeout", Failure.TRANSIENT, clean=True))
    assert third.state is TaskState.ESCALATED
    assert "run 3 of 3, the last" in third.reason


def test_a_result_that_is_not_accepted_is_tried_again_at_once_one_step_up() -> None:
    after, commands = advance(life(TaskState.RUNNING), RunFailed("no such file", Failure.WRONG, clean=False))
    assert (after.state, after.run_no, after.rung) == (TaskState.QUEUED, 2, 1)
    assert EnqueueSegment(1, 0.0) in commands
    assert StartRun(2, False, "no such file") in commands


@pytest.mark.parametrize(
    ("failure", "state"), [(Failure.REFUSED, TaskState.ESCALATED), (Failure.BROKEN, TaskState.FAILED)]
)
def test_what_another_run_would_not_change_is_not_tried_again(failure: Failure, state: TaskState) -> None:
    after, commands = advance(life(TaskState.RUNNING), RunFailed("no", failure, clean=True))
    assert after.state is state
    assert not [c for c in commands if isinstance(c, EnqueueSegment)]


@pytest.mark.parametrize("resolution", [Resolution.CONTINUE, Resolution.ANSWER])
def test_a_person_lets_the_same_run_go_on(resolution: Resolution) -> None:
    after, commands = advance(life(TaskState.ESCALATED), Resolved(resolution, "person:ann", "look again"))
    assert (after.state, after.run_no) == (TaskState.QUEUED, 1)
    assert commands == (ReopenRun(1), EnqueueSegment(1, 0.0))


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.DELAYED, TaskState.WAITING_RETRY])
def test_what_may_not_begin_is_set_aside_without_a_segment_and_released_with_one(state: TaskState) -> None:
    aside, commands = advance(life(state), PutOff(0, "pause", "the queue is paused"))
    assert (aside.state, aside.parked, aside.reason, commands) == (TaskState.QUEUED, "pause", "the queue is paused", ())
    after, commands = advance(aside, Released())
    assert (after.state, after.parked) == (TaskState.QUEUED, None)
    assert commands == (EnqueueSegment(1, 0.0),)
    with pytest.raises(Conflict, match="not set aside"):
        advance(after, Released())


def test_a_halt_that_stops_sets_a_running_task_aside() -> None:
    after, _ = advance(life(TaskState.RUNNING), Stopped(StopCause.HALTED, "halted by person:ann: fire"))
    assert (after.state, after.parked) == (TaskState.QUEUED, "halt")


def test_a_decision_that_comes_before_the_segment_ends_is_not_lost() -> None:
    running = life(TaskState.RUNNING)
    same, commands = advance(running, Decided("approved"))
    assert (same, commands) == (running, ())
    after, commands = advance(same, Parked(open_approvals=0))
    assert after.state is TaskState.QUEUED
    assert EnqueueSegment(1) in commands


def test_a_task_waits_for_those_that_it_gave_away_without_a_segment_and_goes_on_with_the_same_run() -> None:
    waiting, commands = advance(life(TaskState.RUNNING), Parked(open_approvals=0, open_children=2))
    assert (waiting.state, waiting.reason, commands) == (
        TaskState.WAITING_CHILDREN,
        "waits for 2 tasks that it gave to others",
        (),
    )
    asked, _ = advance(life(TaskState.RUNNING), Parked(open_approvals=1, open_children=2))
    assert asked.state is TaskState.WAITING_APPROVAL
    after, commands = advance(waiting, ChildrenEnded("they are over"))
    assert (after.state, after.run_no, commands) == (TaskState.QUEUED, 1, (EnqueueSegment(1, 0.0),))


@pytest.mark.parametrize("clean", [True, False])
def test_effects_are_taken_back_before_another_run_which_is_clean_only_if_all_of_them_were(clean: bool) -> None:
    failed = RunFailed("no such file", Failure.WRONG, clean=False, undoing=True)
    waiting, commands = advance(life(TaskState.RUNNING), failed)
    assert (waiting.state, waiting.run_no, waiting.rung, waiting.parked) == (TaskState.WAITING_CHILDREN, 1, 0, "undo")
    assert commands == (CloseRun(1, "failed"),)
    after, commands = advance(waiting, ChildrenEnded("all of them are as before", clean))
    assert (after.state, after.run_no, after.rung, after.parked) == (TaskState.QUEUED, 2, 1, None)
    note = "no such file; its effects are taken back first: all of them are as before"
    assert commands == (StartRun(2, clean, note), EnqueueSegment(1, 0.0))


def test_a_task_whose_workers_keep_dying_is_set_aside() -> None:
    present = life(TaskState.RUNNING)
    for _ in range(LIMITS.max_crashes):
        present, _ = advance(present, WorkerLost("killed"))
        assert present.state is TaskState.QUEUED
        present, _ = advance(present, Claimed(present.segment_no))
    present, _ = advance(present, WorkerLost("killed"))
    assert present.state is TaskState.ESCALATED
    assert "died 3 times" in present.reason


def test_a_stale_segment_can_not_claim() -> None:
    with pytest.raises(Conflict, match="not the present one"):
        advance(life(segment_no=4), Claimed(3))


def test_a_cancelled_task_that_runs_stops_and_never_starts_again() -> None:
    asked, commands = advance(life(TaskState.RUNNING), CancelAsked("ann"))
    assert asked.state is TaskState.RUNNING
    assert asked.cancel_requested
    lost, commands = advance(asked, WorkerLost("killed"))
    assert lost.state is TaskState.CANCELLED
    assert not any(isinstance(c, EnqueueSegment) for c in commands)


def test_a_task_whose_cancellation_was_asked_for_does_not_become_a_question() -> None:
    asked, _ = advance(life(TaskState.RUNNING), CancelAsked("ann"))
    after, _ = advance(asked, Blocked("it went round in circles"))
    assert (after.state, after.reason) == (TaskState.CANCELLED, "cancelled by ann")


def test_what_a_person_decides_counts_more_than_an_older_wish_to_cancel() -> None:
    escalated = life(TaskState.ESCALATED, cancel_requested=True)  # by a release that let this happen
    going, _ = advance(escalated, Resolved(Resolution.RETRY, "person:ann", "try again"))
    after, _ = advance(going, Claimed(going.segment_no))
    assert after.state is TaskState.RUNNING


def test_a_task_whose_machine_is_lost_goes_to_a_person_and_goes_on_when_it_is_back() -> None:
    for state in (TaskState.QUEUED, TaskState.DELAYED, TaskState.WAITING_RETRY):
        lost, commands = advance(life(state), Stranded("no worker of 'alpha' for 300 s"))
        assert (lost.state, lost.reason) == (TaskState.ESCALATED, "no worker of 'alpha' for 300 s")
        assert not any(isinstance(command, EnqueueSegment) for command in commands)
        back, commands = advance(lost, Resolved(Resolution.CONTINUE, "person:ann", "it is back"))
        assert back.state is TaskState.QUEUED
        assert EnqueueSegment(back.segment_no, 0.0) in commands
    with pytest.raises(Conflict):
        advance(life(TaskState.RUNNING), Stranded("x"))
