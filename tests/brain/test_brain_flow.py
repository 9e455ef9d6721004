"""The vocabulary in which flows are written, and the example in its documentation."""

import datetime
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from callengine.brain import flow as flow_module
from callengine.brain.dialogue import PreparedFlow
from callengine.brain.flow import AsSaid, Flow, Intent, Slot
from callengine.brain.manners import Manners
from callengine.brain.slots import Date, Name, Number, Phone, SlotContext, Time, Words
from callengine.errors import ConfigurationError

TODAY = SlotContext(datetime.date(2026, 11, 25))


async def act(call: Any, slots: Mapping[str, Any]) -> None:
    del call, slots


def plain(call: Any, slots: Mapping[str, Any]) -> Any:
    del call, slots


def ask(name: str = "hours", **more: Any) -> Intent:
    return Intent(name, examples=("when do you open",), reply="From nine.", **more)


def slot(name: str = "day", **more: Any) -> Slot:
    return Slot(name, Date(), ask="Which day?", **more)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Flow(intents=(), can="help"), "at least one intent"),
        (lambda: Flow(intents=(ask(),), can=""), "complete the sentence"),
        (lambda: Flow(intents=(ask(), ask()), can="help"), "'hours' is there twice"),
        (lambda: Flow(intents=(ask(),), can="help", otherwise="message"), "otherwise='message' is none"),
        (lambda: Flow(intents=(ask(),), can="help", rescue="person", offer="A person?"), "rescue='person' is none"),
        (lambda: Flow(intents=(ask(),), can="help", rescue="hours"), "needs offer="),
        (lambda: Flow(intents=(ask(amended_by="move"),), can="help"), "amended_by='move' is none"),
        (lambda: Flow(intents=(ask(),), can="help", language="de"), "needs manners"),
        (
            lambda: Flow(intents=(ask(slots=(slot(),)), ask("x", slots=(Slot("day", Time(), ask="?"),))), can="help"),
            "different kinds",
        ),
        (lambda: Intent("hours", examples=(), reply="x"), "no examples"),
        (lambda: Intent("hours", examples=("...",), reply="x"), "no examples"),
        (lambda: Intent("hours", examples=("when",)), "comes to nothing"),
        (lambda: Intent("Opening Hours", examples=("when",), reply="x"), "lower-case letters"),
        (lambda: Intent("goodbye", examples=("bye",), reply="x"), "understands this request by itself"),
        (lambda: Intent("hours", examples=("when",), then=plain), "has to be an async function"),
        (lambda: Intent("move", examples=("move",), slots=(slot(), slot()), reply="x"), "'day' is there twice"),
        (lambda: Intent("move", examples=("move",), reply="On {day}."), "none of its slots"),
        (lambda: ask(slots=(slot(required=False),), confirm="On {day}?"), "square brackets"),
        (lambda: Slot("day", Date()), "has no question"),
        (lambda: Slot("the day", Date(), ask="?"), "lower-case letters"),
    ],
)
def test_a_mistake_is_reported_where_it_is_written(build: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        build()


def test_another_language_brings_its_own_manners() -> None:
    german = Flow(intents=(ask(),), can="helfen", language="de", manners=Manners(go_on="Ja?"))

    assert german.manners.go_on == "Ja?"
    assert Flow(intents=(ask(),), can="help", language="en-GB").language == "en-GB"


def test_values_are_frozen_and_take_any_sequence() -> None:
    intent = Intent("hours", examples=["when do you open"], slots=[slot()], reply="x")

    assert intent.examples == ("when do you open",)
    assert intent.slots == (slot(),)
    assert Intent("hours", examples="when do you open", reply="x").examples == ("when do you open",)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(intent, "name", "other")  # noqa: B010


def test_sentences_are_worded_with_spoken_values() -> None:
    move = Intent(
        "move",
        examples=("move it",),
        slots=(slot(), Slot("people", Number.of_people(), required=False)),
        then=act,
    )
    reply = "Moved to {day}[, for {people}]."
    friday = datetime.date(2026, 11, 27)

    assert move.word(reply, {"day": friday}) == "Moved to Friday the 27th of November."
    assert move.word(reply, {"day": friday, "people": 2}).endswith(", for two people.")
    assert move.word(lambda slots: f"{slots['people']}!", {"people": 2}) == "2!"


def test_a_slot_takes_its_other_words_as_they_are() -> None:
    time = Slot("time", Time(), ask="When?", also=("the same time",))
    found = time.find(Words.of("from Thursday to Saturday, same time"), TODAY)

    assert found[0].value == AsSaid("the same time")
    assert time.say(found[0].value) == time.note(found[0].value) == "the same time"
    assert time.check(found[0].value, TODAY) is None
    assert time.complete(found[0].value)


def test_a_slot_is_known_by_its_names_and_has_an_example() -> None:
    assert slot().names == ("day",)
    assert slot(called=("date", "day")).names == ("date", "day")
    assert Slot("name", Name(), ask="?").example == "my name is Harrison"
    assert Slot("name", Name(), ask="?", hint="I am Tom").example == "I am Tom"
    assert Slot("phone", Phone(), ask="?").note("5550142") == "•••42"


def test_an_intent_without_anything_to_settle_is_a_question() -> None:
    assert ask().is_question
    assert ask(slots=(slot(required=False),)).is_question
    assert not ask(slots=(slot(),)).is_question
    assert not ask(confirm="Really?").is_question
    assert not ask(then=act).is_question


async def test_the_example_of_the_documentation_works() -> None:
    moved: list[object] = []

    class Calendar:
        async def move(self, *what: object) -> None:
            moved.append(what)

    code = textwrap.dedent((inspect.getdoc(flow_module) or "").split("reads like this:\n")[1].split("\nAll of it")[0])
    code = code.replace("Agent(", "dict(")  # an agent needs the whole package; its arguments are what counts here
    world: dict[str, Any] = {"calendar": Calendar()}
    exec(code, world)

    dialogue = (await PreparedFlow.prepare(world["agent"]["flow"], None)).dialogue(today=TODAY.today)
    assert (await dialogue.answer("No, sorry, I can't make it.")).sentences[0] == "No problem, we find another time."
    assert (await dialogue.answer("Friday")).sentences[-1] == "And at what time?"
    assert (await dialogue.answer("half past nine in the morning")).expects == "confirmation"
    reply = await dialogue.answer("yes")
    assert reply.action is not None
    done = dialogue.acted(await reply.action.function(None, reply.action.slots))
    assert " ".join(done.sentences[:2]) == (
        "Done. We see you on Friday the 27th of November at half past nine in the morning."
    )
    assert moved == [("4711", datetime.date(2026, 11, 27), datetime.time(9, 30))]

    coming = (await PreparedFlow.prepare(world["agent"]["flow"], None)).dialogue(today=TODAY.today)
    reply = await coming.answer("Yes.")
    assert reply.sentences == ("Wonderful, we see you on Tuesday at nine.", "Thank you. Goodbye!")
    assert reply.hang_up
