"""Whole calls with the real adapters against their simulated vendors: who plays in one, and what is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from cases import LLM, STT, TTS, Case, overhear

from callengine import Agent
from callengine.testing import Caller, CallLab
from callengine.testing.vendors import Vendor, in_memory

GREETING = "Good evening, how can I help?"
QUESTION = "A table for four at eight, please."
ANSWER = "We have a table for four at eight by the window. It is a quiet one. Shall I book it for you?"
INTERRUPTION = "Wait, is it by the kitchen?"
SECOND = "No, it is not."

CASES = {case.role + " " + case.name: case for case in (*STT, *TTS, *LLM)}

STOPS = {
    "cartesia": '"cancel"',
    "elevenlabs": '"close_context"',
    "deepgram": '"Clear"',
    "inworld": '"cancel_context"',
    "rime": '"clear"',
}
"""By which message a voice behind a WebSocket is told to stop; the others see their connection closed."""


def usual(role: str, avoid: Sequence[str] = ()) -> Case:
    """A provider of this role for a call that is about another one, of a vendor that plays no other part in it."""
    names = {"stt": ("deepgram", "speechmatics"), "llm": ("openai_chat", "anthropic"), "tts": ("cartesia", "rime")}[
        role
    ]
    return next(CASES[f"{role} {name}"] for name in names if CASES[f"{role} {name}"].provider not in avoid)


def cast(stt: Case | None = None, llm: Case | None = None, tts: Case | None = None) -> tuple[Case, Case, Case]:
    """The providers of a call, of three vendors: those that are named, and the usual ones."""
    avoid = [case.provider for case in (stt, llm, tts) if case is not None]
    return stt or usual("stt", avoid), llm or usual("llm", avoid), tts or usual("tts", avoid)


@attrs.define
class Stage:
    """Vendors of one lab, and agents on them."""

    lab: CallLab
    vendors: dict[str, Any] = attrs.field(factory=dict)
    """By the case's role and name."""
    messages: dict[str, list[str | bytes]] = attrs.field(factory=dict)
    """What clients sent in WebSockets."""

    def vendor(self, case: Case) -> Any:
        """The case's simulated vendor."""
        name = str(case)
        if name not in self.vendors:
            vendor = case.make_vendor()
            vendor.vocabulary = self.lab.vocabulary
            self.vendors[name] = vendor
            self.messages[name] = overhear(vendor)
        return self.vendors[name]

    def recipe(self, case: Case, **settings: Any) -> Any:
        """The case's recipe."""
        self.vendor(case)
        return case.make(**settings)

    def agent(self, stt: Sequence[Case], llm: Sequence[Case], tts: Sequence[Case], **settings: Any) -> Agent:
        """An agent with these providers."""
        base: dict[str, Any] = {"prompt": "You take bookings.", "greeting": GREETING, "thinking": ()}
        return Agent(
            stt=[self.recipe(case) for case in stt],
            llm=[self.recipe(case) for case in llm],
            tts=[self.recipe(case) for case in tts],
            **{**base, **settings},
        )

    @asynccontextmanager
    async def call(self, agent: Agent, **options: Any) -> AsyncIterator[Caller]:
        """A call to this agent. When it is over, no vendor has a connection any more, nor has the lab anything."""
        vendors: list[Vendor] = list(self.vendors.values())
        async with in_memory(*vendors) as wire:
            async with self.lab.dial(agent, wire=wire, **options) as caller:
                yield caller
            sockets = [str(vendor.hosts) for vendor in vendors if vendor.sockets]
            assert not sockets, f"open when the call was over: {sockets}"
        assert all(vendor.connections == 0 for vendor in vendors)
        self.lab.assert_nothing_left()

    def stopped(self, case: Case) -> int:
        """How often a voice behind a WebSocket was told to stop."""
        sign = STOPS[case.name]
        return sum(sign in (message if isinstance(message, str) else "") for message in self.messages[str(case)])


async def says(stage: Stage, stt: Case, caller: Caller, text: str, *, wait: bool = True) -> None:
    """The caller says this to a recogniser that may not be able to read it."""
    if not stt.reads:
        stage.vendor(stt).recorded.append(text)
    await caller.says(text, wait=wait)


async def until(happens: Any, *, timeout: float = 30.0) -> None:
    """Wait until something is so, by looking every 5 ms."""
    with trio.fail_after(timeout):
        while not happens():
            await trio.sleep(0.005)


def words_of(text: str) -> list[str]:
    """Words as they are compared: without case and punctuation."""
    return ["".join(c for c in word if c.isalnum()) for word in text.lower().split()]
