"""callengine: the engine under an AI phone agent.

A call is a Trio nursery; a barge-in is a cancel scope closing; leaving a call drains every mark waiter.
"""

from callengine.audio.clip import Clip
from callengine.brain.agent import Agent
from callengine.brain.flow import Flow, Intent, Slot
from callengine.call.call import Call
from callengine.call.items import CallerTurn
from callengine.call.settings import CallSettings, SenderSettings
from callengine.call.story import BlockingCall
from callengine.carriers.twilio import Twilio
from callengine.engine import Engine
from callengine.errors import (
    AudioError,
    CallEnded,
    CallEngineError,
    ConfigurationError,
    MissingExtra,
    ProviderError,
    WeightsError,
)
from callengine.journal import JournalSettings
from callengine.outcome import Figures, Outcome, Turn
from callengine.turns.confirmation import Confirmation, Evidence, MinDuration, MinWords, StopWords
from callengine.turns.digits import DigitSettings
from callengine.turns.heard import Heard
from callengine.turns.patience import PatienceSettings
from callengine.turns.phrases import Phrases, phrases_for
from callengine.turns.settings import Endpointing, Interruption, Preemption, TurnSettings
from callengine.turns.voice_activity import VadSettings

__all__ = [
    "Agent",
    "AudioError",
    "BlockingCall",
    "Call",
    "CallEnded",
    "CallEngineError",
    "CallSettings",
    "CallerTurn",
    "Clip",
    "ConfigurationError",
    "Confirmation",
    "DigitSettings",
    "Endpointing",
    "Engine",
    "Evidence",
    "Figures",
    "Flow",
    "Heard",
    "Intent",
    "Interruption",
    "JournalSettings",
    "MinDuration",
    "MinWords",
    "MissingExtra",
    "Outcome",
    "PatienceSettings",
    "Phrases",
    "Preemption",
    "ProviderError",
    "SenderSettings",
    "Slot",
    "StopWords",
    "Turn",
    "TurnSettings",
    "Twilio",
    "VadSettings",
    "WeightsError",
    "phrases_for",
]
