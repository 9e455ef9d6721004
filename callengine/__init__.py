"""callengine: the engine under an AI phone agent.

A call is a Trio nursery; a barge-in is a cancel scope closing; leaving a call drains every mark waiter.
"""

from callengine.audio.clip import Clip
from callengine.blocking import Phone, PhoneCall, running
from callengine.brain.agent import Agent
from callengine.brain.flow import Flow, Intent, Slot
from callengine.call.call import Call
from callengine.call.items import CallerTurn
from callengine.call.settings import CallSettings, SenderSettings
from callengine.call.story import BlockingCall
from callengine.carriers.audiosocket import AudioSocket
from callengine.carriers.plivo import Plivo
from callengine.carriers.signalwire import SignalWire
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.engine import Engine
from callengine.errors import (
    AudioError,
    CallEnded,
    CallEngineError,
    CarrierError,
    ConfigurationError,
    EngineStopped,
    MissingExtra,
    NotAllowed,
    NotSupported,
    ProviderError,
    TransferFailed,
    WeightsError,
)
from callengine.factories import Sms, create_carrier, create_llm, create_sms, create_stt, create_tts
from callengine.journal import JournalSettings
from callengine.outbound.calls import OutboundCall
from callengine.outbound.campaign import run_campaign
from callengine.outbound.contacts import Contact
from callengine.outbound.errors import NotAnswered
from callengine.outbound.outcomes import DialOutcome
from callengine.outbound.results import CampaignProgress, CampaignReport, ContactResult
from callengine.outcome import Figures, Outcome, Turn
from callengine.telephony import Capabilities, IncomingCall, IncomingMessage, MessageProgress, RecordingReady, Refuse
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
    "AudioSocket",
    "BlockingCall",
    "Call",
    "CallEnded",
    "CallEngineError",
    "CallSettings",
    "CallerTurn",
    "CampaignProgress",
    "CampaignReport",
    "Capabilities",
    "CarrierError",
    "Clip",
    "ConfigurationError",
    "Confirmation",
    "Contact",
    "ContactResult",
    "DialOutcome",
    "DigitSettings",
    "Endpointing",
    "Engine",
    "EngineStopped",
    "Evidence",
    "Figures",
    "Flow",
    "Heard",
    "IncomingCall",
    "IncomingMessage",
    "Intent",
    "Interruption",
    "JournalSettings",
    "MessageProgress",
    "MinDuration",
    "MinWords",
    "MissingExtra",
    "NotAllowed",
    "NotAnswered",
    "NotSupported",
    "OutboundCall",
    "Outcome",
    "PatienceSettings",
    "Phone",
    "PhoneCall",
    "Phrases",
    "Plivo",
    "Preemption",
    "ProviderError",
    "RecordingReady",
    "Refuse",
    "SenderSettings",
    "SignalWire",
    "Slot",
    "Sms",
    "StopWords",
    "Telnyx",
    "TransferFailed",
    "Turn",
    "TurnSettings",
    "Twilio",
    "VadSettings",
    "WeightsError",
    "create_carrier",
    "create_llm",
    "create_sms",
    "create_stt",
    "create_tts",
    "phrases_for",
    "run_campaign",
    "running",
]
