"""What the tests of polite turn-taking share: agents, a long reply, and what was decided when."""

from __future__ import annotations

import attrs
import trio
from lab_calls import until

from callengine import Agent
from callengine.ports import Message
from callengine.turns.settings import Interruption, TurnSettings

GREETING = "Hello there."
HELLO = Agent(prompt="Be brief.", greeting=GREETING)
QUESTION = "Which tables do you have?"
LONG = "We have tables at seven, at eight, and at nine, inside or in the garden, and the kitchen is open until ten."
MODES = ("cut", "duck", "pause")
GRAIN = 0.032 + 0.02
"""Seconds by which an onset may be early: the VAD's window, and a frame on its way."""
INTO = 2.01
"""Seconds into the long reply at which the caller makes himself heard."""


def polite(mode: str = "pause", **settings) -> Agent:
    """One that reacts to 0.2 s of sound, and believes what its recogniser says of short words."""
    settings = {"min_duration": 0.2, "short_speech": 0.0} | settings
    return attrs.evolve(HELLO, turns=TurnSettings(interruption=Interruption(mode=mode, **settings)))


def noise(seconds: float) -> bytes:
    """Loud, and no words."""
    return b"\x20\xa0" * int(seconds * 4000)


def journal_times(lab, kind: str) -> list[float]:
    return [record.t for record in lab.call.journal.of(kind)]


def decided(lab, what: str) -> list[float]:
    """When something was decided, in seconds of the call."""
    return [record.t for record in lab.call.journal.of("decision") if record.data["what"] == what]


def turns(lab) -> list[str]:
    """The caller's turns."""
    return [record.data["text"] for record in lab.call.journal.of("turn.ended")]


def asked(lab) -> list[Message]:
    """The last request to the model, without its system message."""
    return lab.llm.requests[-1][1:]


async def into_the_long_reply(lab, caller) -> None:
    """Bring a call to where the agent explains something at length."""
    await caller.hears(GREETING)
    await caller.says(QUESTION)
    await until(lambda: caller.leg.queue.playing(trio.current_time()))
    await trio.sleep_until(caller.leg.queue.began_at + INTO)
