"""The loop answers what is open, asks for more, and stops when a call is held."""

from dataclasses import dataclass, field

from interlock import agent
from interlock.model import (
    ActOutcome,
    CallProposal,
    CallRequest,
    Denied,
    Done,
    Held,
    InDoubt,
    ModelAnswer,
    ModelTurn,
    Observation,
    RequestTurn,
    Turn,
)


@dataclass
class World:
    """A model that answers from a list, a gate that answers by tool name, and a history."""

    answers: list[ModelAnswer]
    outcomes: dict[str, ActOutcome] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=lambda: [RequestTurn("do it")])
    acted: list[int] = field(default_factory=list)
    thought: int = 0

    async def think(self, turns: tuple[Turn, ...]) -> ModelAnswer:
        assert turns == tuple(self.turns)
        self.thought += 1
        return self.answers.pop(0)

    async def act(self, call: CallRequest) -> ActOutcome:
        self.acted.append(call.call_no)
        return self.outcomes.get(call.tool) or Done(Observation(call.call_no, call.tool, True, "ok"))

    async def add_answer(self, answer: ModelAnswer) -> ModelTurn:
        last = max((c.call_no for t in self.turns if isinstance(t, ModelTurn) for c in t.calls), default=0)
        calls = tuple(CallRequest(last + n, c.tool, c.args) for n, c in enumerate(answer.calls, start=1))
        turn = ModelTurn(answer.text, calls, answer.model)
        self.turns.append(turn)
        return turn

    async def add_observation(self, observation: Observation) -> None:
        self.turns.append(observation)

    async def run(self, max_turns: int = 10) -> agent.Ending:
        save = agent.Save(self.add_answer, self.add_observation)
        return await agent.run(tuple(self.turns), self.think, self.act, save, agent.Bounds(max_turns))


def calls(*tools: str) -> ModelAnswer:
    return ModelAnswer("", tuple(CallProposal(tool, {}) for tool in tools), "m")


def final(text: str = "done") -> ModelAnswer:
    return ModelAnswer(text, (), "m")


async def test_it_ends_with_the_text_of_an_answer_without_calls() -> None:
    world = World([calls("a.x", "a.y"), final("42")])
    assert await world.run() == agent.Finished("42")
    assert world.acted == [1, 2]


async def test_a_held_call_ends_the_segment_after_its_siblings_were_answered() -> None:
    held = Held("call", "approval")
    world = World([calls("a.x", "a.delete", "a.z"), final()], {"a.delete": held})
    assert await world.run() == agent.Waiting((held,))
    assert world.acted == [1, 2, 3]
    assert [t.call_no for t in world.turns if isinstance(t, Observation)] == [1, 3]


async def test_after_the_decision_only_the_held_call_is_made_and_no_model_call_is_repeated() -> None:
    world = World([calls("a.x", "a.delete"), final()], {"a.delete": Held("call", "approval")})
    await world.run()
    world.outcomes.clear()
    world.acted.clear()
    assert await world.run() == agent.Finished("done")
    assert world.acted == [2]
    assert world.thought == 2


async def test_a_denied_call_is_told_to_the_model_and_the_run_goes_on() -> None:
    denied = Denied(Observation(1, "a.x", False, "Not done: no"))
    world = World([calls("a.x"), final("gave up")], {"a.x": denied})
    assert await world.run() == agent.Finished("gave up")
    assert denied.observation in world.turns


async def test_a_call_in_doubt_stops_the_run() -> None:
    doubt = InDoubt("call", "unknown")
    world = World([calls("a.x", "a.y"), final()], {"a.x": doubt})
    assert await world.run() == agent.Doubtful(doubt)
    assert world.acted == [1]


async def test_a_run_that_never_ends_is_stopped_by_its_number_of_turns() -> None:
    world = World([calls("a.x")] * 20)
    assert await world.run(max_turns=5) == agent.TurnsUsedUp(5)
    assert world.thought == 5


async def test_a_crash_after_the_last_answer_does_not_ask_the_model_again() -> None:
    world = World([])
    world.turns.append(ModelTurn("42", (), "m"))
    assert await world.run() == agent.Finished("42")
    assert world.thought == 0
