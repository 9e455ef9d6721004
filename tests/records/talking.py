"""A call in the lab in which everything of turn-taking happens: said, keyed in, interrupted, guessed, and nothing.

Its settings are all its own, so that another default changes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from callengine import Agent
from callengine.journal import Journal, JournalSettings
from callengine.ports import Message
from callengine.testing import CallLab
from callengine.turns.patience import PatienceSettings
from callengine.turns.settings import Endpointing, Interruption, Preemption, TurnSettings
from callengine.turns.voice_activity import VadSettings

GREETING = "Chez Trio, good evening! How can I help?"
HOURS = (
    "We are open from Tuesday to Sunday, lunch is from noon to two, and dinner from six to ten in the evening. "
    "On Mondays we are closed."
)
WHERE = "It is two streets from the station."
NOTED = "Thank you, I have noted your number."
SURE = "Sure."
TABLE = "We have a table for four at eight, shall I book it?"
ANSWERS = {"open?": HOURS, "exactly?": WHERE, "[keyed in: 4711]": NOTED, "for four": SURE, "please.": TABLE}


def answer(messages: Sequence[Message]) -> str:
    """What the agent says to words that end like this; a guess at fewer words gets something else."""
    return next((reply for words, reply in ANSWERS.items() if messages[-1].content.endswith(words)), "Beg your pardon?")


def turns(mode: Any) -> TurnSettings:
    """How turns are taken in the call."""
    return TurnSettings(
        interruption=Interruption(mode=mode, min_duration=0.2, guard=0.3, long_speech=1.0, window=1.5),
        endpointing=Endpointing(mode="fixed", min_delay=0.3, max_delay=1.2, infer_entities=False),
        preemption=Preemption(enabled=True, stable=10.0, tries=2),
        split=0.6,
    )


async def busy_call(lab: CallLab, *, mode: Any = "pause", audio: bool = False) -> Journal:
    """A question, a backchannel over its answer, an interruption, keys, a turn in two halves, and silence."""
    lab.stt.pause_delay = 0.05
    lab.llm.replies(*[answer] * 12)
    agent = Agent(
        prompt="Be brief.",
        greeting=GREETING,
        turns=turns(mode),
        vad=VadSettings(pause=0.128, min_silence=0.256),
        patience=PatienceSettings(away_after=4.0, prompts=2),
    )
    async with lab.dial(agent, journal=JournalSettings(audio=audio)) as caller:
        await caller.hears("How can I help?")
        await caller.waits(0.4)
        await caller.says("When are you open?")
        await caller.hears("to Sunday,")
        await caller.says("Mm-hm.")
        await caller.hears("dinner")
        await caller.says("Wait")
        await caller.waits(0.24)  # long enough for a guess, which is wrong
        await caller.says("where are you exactly?")
        await caller.hears("the station.")
        await caller.waits(0.5)
        await caller.presses("4711#")
        await caller.hears("your number.")
        await caller.waits(0.3)
        await caller.says("A table for four")
        await caller.waits(0.45)
        await caller.says("at eight, please.")
        await caller.hears("shall I book it?")
        await caller.hears("Are you still there?")
        await caller.waits(0.5)
    return lab.call.journal


def reason(books: Journal, what: str) -> str:
    """Of the first decision of this kind."""
    return next(str(r.data["reason"]) for r in books.of("decision") if r.data["what"] == what)
