"""What a call is made with: its connection, its program, the providers it uses, and what all calls share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from callengine.brain.agent import Agent
from callengine.call.settings import CallSettings
from callengine.outcome import Turn
from callengine.ports import (
    CarrierCodec,
    EchoCanceller,
    EndOfTurn,
    LanguageModel,
    MediaSocket,
    SpeechToText,
    StreamStarted,
    TextToSpeech,
)
from callengine.records.prices import PriceTable
from callengine.services.health import Health
from callengine.services.metronome import Metronome
from callengine.services.vad_bank import VadBank
from callengine.telephony import Leg
from callengine.wire import Wire

if TYPE_CHECKING:
    from callengine.brain.dialogue import PreparedFlow
    from callengine.call.prewarm import Prewarm
    from callengine.call.story import Story, StoryThreads


@attrs.frozen
class CallParts:
    """An agent's parts, found and loaded. Shared by all its calls."""

    stt: tuple[SpeechToText, ...]
    tts: tuple[TextToSpeech, ...]
    llm: tuple[LanguageModel, ...] = ()
    """Of each role, in the order in which they stand in for each other; no models where something else answers."""
    flow: PreparedFlow | None = None
    echo: EchoCanceller | None = None
    turn_detector: EndOfTurn | None = None
    second_stt: SpeechToText | None = None


@attrs.frozen
class Services:
    """The arithmetic that all calls of an engine share."""

    metronome: Metronome
    vad_bank: VadBank
    story_threads: StoryThreads
    wire: Wire
    """The way to vendors."""
    health: Health
    """How the providers fare."""
    prices: PriceTable
    """What they charge."""


@attrs.frozen(kw_only=True)
class CallSetup:
    """What a call runs, and with what: decided when it is offered, and travelling with it."""

    agent: Agent
    story: Story | None
    parts: CallParts
    services: Services
    settings: CallSettings
    interim: bool
    """Whether somebody wants interim transcripts."""
    today: Callable[[], datetime]
    """The wall clock, for labels and for "tomorrow"."""
    before: tuple[Turn, ...] = ()
    """What was said before a transfer that the caller came back from."""
    prewarm: Prewarm | None = None
    """What was made ready for this call while the telephone rang."""


@attrs.frozen
class Connection:
    """A media stream that has started, and the way to it."""

    stream: StreamStarted
    socket: MediaSocket
    codec: CarrierCodec
    early: tuple[tuple[bool, bytes], ...] = ()
    """Messages behind the stream's start that have come already."""
    leg: Leg | None = None
    """What can be asked of the carrier; None where nothing can."""


@attrs.frozen(kw_only=True)
class CallInfo:
    """What is known of a call's two ends."""

    carrier: str
    direction: str = "inbound"
    caller: str = ""
    callee: str = ""
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The application's own, beside those of the stream."""
    came_back: str = ""
    """Why the caller is back from a transfer: ``no answer``, ``busy`` ...; empty where he was not transferred."""
