"""What the tests of whole calls share: agents, moments of a call, and how to wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from callengine import Agent
from callengine.testing import Caller, CallLab
from callengine.turns.patience import PatienceSettings
from callengine.turns.settings import Interruption, TurnSettings

GREETING = "Chez Trio, good evening! How can I help?"
QUESTION = "A table for two, please."
ANSWER = "We have a table for two at eight. Shall I book it?"
AGENT = Agent(prompt="Be brief.", greeting=GREETING)
CUT = TurnSettings(interruption=Interruption(mode="cut", min_duration=0.2, guard=0.0))
"""Sound cuts at once: one exact moment, for tests of what a cut does."""
PATIENT = PatienceSettings(away_after=None)
"""For tests in which nothing happens for long."""

CLOUD = pytest.mark.carrier("twilio", "signalwire", "telnyx", "plivo")
"""For tests of what only these have: messages in JSON, a buffer of their own, the echoes of marks, a network's delay.
Asterisk's AudioSocket has audio."""

MOMENTS = ("mid-greeting", "while the LLM thinks", "while TTS streams", "mid-reply")


async def until(happens: Callable[[], Any], *, timeout: float = 30.0) -> None:
    """Wait until something is so, by looking every 5 ms."""
    with trio.fail_after(timeout):
        while not happens():
            await trio.sleep(0.005)


async def reach(moment: str, lab: CallLab, caller: Caller) -> None:
    """Bring a call of `AGENT` to a moment (see `MOMENTS`). The script of the reply must be there."""
    if moment == "mid-greeting":
        await caller.hears("Chez Trio")
        return
    await caller.hears("How can I help?")
    if moment == "while the LLM thinks":
        lab.llm.first_token = 2.0
    elif moment == "while TTS streams":
        lab.tts.first_audio = 2.0
    await caller.says(QUESTION)
    if moment == "while the LLM thinks":
        await until(lambda: lab.llm.streams)
    elif moment == "while TTS streams":
        await until(lambda: lab.tts.streams)
    else:
        await caller.hears("a table")
        return
    await caller.waits(0.5)
    assert not caller.leg.queue.playing(trio.current_time())


def stopped(lab: CallLab) -> str:
    """The reason of a call whose caller put the phone down."""
    plivo = "the media socket closed (1000) without a stop"  # it announces no end
    return plivo if lab.carrier == "plivo" else "the carrier stopped the stream"


def buffers(lab: CallLab) -> bool:
    """Whether the carrier has a buffer that can be cleared."""
    return lab.carrier != "audiosocket"


def echoes_cleared(lab: CallLab) -> bool:
    """Whether the carrier echoes marks that a clear threw away."""
    return lab.carrier != "plivo"


def decisions(lab: CallLab, what: str) -> list[str]:
    """The reasons of all decisions of one kind in the last call."""
    return [record.data["reason"] for record in lab.call.journal.of("decision") if record.data["what"] == what]
