"""The small protocols between the rooms: what a call knows of carriers and of vendors.

Providers are *recipes*: frozen configuration that every call may share. ``open`` gives one call its own *session*
as an async context manager; leaving it releases everything the session holds. Sessions are used by one call only.
Errors are `ProviderError`; see `docs/adding-a-provider.md`.
"""

from callengine.ports.end_of_turn import EndOfTurn, EndOfTurnModel, EndOfTurnSession
from callengine.ports.llm import LanguageModel, LlmEvent, LlmSession, Message, Role, TextDelta, ToolCall, ToolSpec
from callengine.ports.local import Denoiser, DenoiserSession, EchoCanceller, EchoSession, SentenceEncoder, Vad
from callengine.ports.media import (
    BadMessage,
    CarrierCodec,
    CarrierEvent,
    DtmfPressed,
    Ignored,
    KeyCodec,
    MarkEchoed,
    MediaSocket,
    StreamStarted,
    StreamStopped,
)
from callengine.ports.session import Opening, Parkable, Prewarmed, Probed, ProviderRole, SessionContext, Usage
from callengine.ports.stt import HintKind, SpeechToText, SttResult, SttSession
from callengine.ports.tts import SpeechChunk, TextToSpeech, TtsSession, WordTime

__all__ = [
    "BadMessage",
    "CarrierCodec",
    "CarrierEvent",
    "Denoiser",
    "DenoiserSession",
    "DtmfPressed",
    "EchoCanceller",
    "EchoSession",
    "EndOfTurn",
    "EndOfTurnModel",
    "EndOfTurnSession",
    "HintKind",
    "Ignored",
    "KeyCodec",
    "LanguageModel",
    "LlmEvent",
    "LlmSession",
    "MarkEchoed",
    "MediaSocket",
    "Message",
    "Opening",
    "Parkable",
    "Prewarmed",
    "Probed",
    "ProviderRole",
    "Role",
    "SentenceEncoder",
    "SessionContext",
    "SpeechChunk",
    "SpeechToText",
    "StreamStarted",
    "StreamStopped",
    "SttResult",
    "SttSession",
    "TextDelta",
    "TextToSpeech",
    "ToolCall",
    "ToolSpec",
    "TtsSession",
    "Usage",
    "Vad",
    "WordTime",
]
