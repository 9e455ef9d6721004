"""The answering service: honest about what it is, and takes a message."""

import datetime
from collections.abc import Mapping
from typing import Any

import pytest

from callengine.brain.dialogue import FlowReply, PreparedFlow
from callengine.brain.flow import Flow
from callengine.brain.flows import message_flow

TODAY = datetime.date(2026, 11, 25)


async def converse(*turns: str, flow: Flow | None = None) -> tuple[list[str], FlowReply]:
    dialogue = (await PreparedFlow.prepare(flow or message_flow(), None)).dialogue(today=TODAY)
    replies = [await dialogue.answer(turn) for turn in turns]
    return [" ".join(reply.sentences) for reply in replies], replies[-1]


async def test_a_message_from_question_to_goodbye() -> None:
    said, last = await converse(
        "Hi, is this the garage?",
        "It is about my car, it rattles.",
        "Harrison.",
        "five five five",
        "zero one four two",
        "Yes.",
    )

    assert said == [
        "I am the answering service here, and I can take a message. What is it about?",
        "Thank you. And what is your name?",
        "All right. Which number can they reach you on?",
        "Go on.",
        'Good. I wrote down: "It is about my car, it rattles". The message is from Harrison, and the number is '
        "5 5 5, 0 1 4 2. Is that right?",
        "Thank you. Your message is noted. Thank you for calling. Goodbye!",
    ]
    assert last.hang_up


@pytest.mark.parametrize(
    "turn",
    [
        "I would like to leave a message.",
        "Could I speak to a real person, please?",
        "Can somebody call me back?",
        "A table for two, please?",
    ],
)
async def test_whatever_a_caller_wants_he_hears_what_it_is(turn: str) -> None:
    said, _ = await converse(turn)

    assert said == ["I am the answering service here, and I can take a message. What is it about?"]


async def test_a_caller_who_says_it_all_at_once_is_not_asked_again() -> None:
    said, _ = await converse(
        "my car makes a very strange noise since yesterday", "my name is Harrison and my number is 555 0142"
    )

    assert said[0].endswith("And what is your name?")
    assert said[1].endswith("Is that right?")


async def test_a_part_of_the_message_can_be_put_right() -> None:
    said, _ = await converse(
        "my car makes a strange noise again", "Harrison", "555 0142", "No.", "the number", "555 0143"
    )

    assert said[4] == "Sorry. Then once more: Which number can they reach you on?"
    assert "5 5 5, 0 1 4 3" in said[5]


@pytest.mark.parametrize(
    ("prompt", "who"),
    [
        ("You take bookings for Chez Trio. Be brief.", "the answering service of Chez Trio"),
        ("You are the receptionist of O'Brien & Sons, a garage.", "the answering service of O'Brien"),
        ("Be brief.", "the answering service here"),
    ],
)
async def test_it_says_for_whom_it_answers_where_the_prompt_tells(prompt: str, who: str) -> None:
    said, _ = await converse("I would like to leave a message.", flow=message_flow(prompt))

    assert said[0].startswith(f"I am {who}, and I can take a message.")


async def test_the_message_is_delivered_by_the_users_function() -> None:
    async def deliver(call: Any, slots: Mapping[str, Any]) -> str:
        return f"Sent to {call}: {slots['about']}."

    dialogue = (await PreparedFlow.prepare(message_flow(deliver=deliver), None)).dialogue(today=TODAY)
    for turn in ("my car makes a strange noise again", "Harrison", "555 0142"):
        await dialogue.answer(turn)
    action = (await dialogue.answer("yes")).action
    assert action is not None
    reply = dialogue.acted(await action.function("Tom", action.slots))

    assert action.slots == {"about": "my car makes a strange noise again", "name": "Harrison", "phone": "5550142"}
    assert reply.sentences[0] == "Sent to Tom: my car makes a strange noise again."
    assert reply.hang_up
