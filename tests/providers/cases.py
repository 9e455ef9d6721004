"""What the conformance suites run against, and what they have to know of each adapter. A new adapter is one `Case`.

Recipes and simulated vendors are named, not imported: an adapter that cannot be imported fails its own tests only.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs

from callengine.errors import ProviderFault
from callengine.ports import Opening, ProviderRole, SessionContext, Usage
from callengine.testing.vendors import Request, Vendor, WebSocket, in_memory
from callengine.wire import Wire


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


REFUSALS: tuple[tuple[int, ProviderFault], ...] = (
    (400, "fatal"), (401, "fatal"), (402, "fatal"), (403, "fatal"), (404, "fatal"), (422, "fatal"), (429, "retry"),
    (500, "retry"), (502, "retry"), (503, "retry"),
)  # fmt: skip
"""HTTP statuses, and what each means to nearly every vendor."""

WORDS = "out of luck"
"""What the vendor says of itself in its messages of errors."""


@attrs.frozen(kw_only=True)
class Case:
    """An adapter in the suite."""

    role: ProviderRole
    name: str
    """Of the case: what ``-k`` selects."""
    recipe: str
    """The recipe's class, as ``module:name``."""
    vendor: str
    """The simulated vendor's."""
    provider: str
    """Whom usage and openings name."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """What the recipe needs beside its key."""
    key: str = "api_key"
    """The recipe's setting that is secret; empty where the server knows no keys."""
    prepare: Mapping[str, Any] = attrs.field(factory=dict)
    """Attributes of the simulated vendor that the suite sets."""
    setting: tuple[str, Any]
    """One of the vendor's own settings that the recipe does not send by itself: where `extra` or a hook adds it, it
    has to be on the wire."""
    socket: bool = True
    """Whether it is a WebSocket; otherwise it is a request an utterance, a sentence or a reply."""
    closes: tuple[tuple[int, str, ProviderFault], ...] = ()
    """Codes, with reasons, with which the vendor closes, and what each means."""
    errors: tuple[tuple[Any, ProviderFault], ...] = ()
    """Messages (JSON, or as they are) by which the vendor reports in an open WebSocket that it cannot go on."""
    refusals: tuple[tuple[int, ProviderFault], ...] = REFUSALS
    """HTTP statuses, and what each means."""
    title: str = ""
    """The recipe's own name, without any setting; empty where the suite does not look at it, as with those below."""
    idle: float = 0.0
    """Its `idle_limit`."""
    variable: str = ""
    """The environment variable of its key."""
    free: str = ""
    """The path of the request that costs nothing."""

    # Recognisers.
    reads: bool = True
    """Whether the simulated vendor gets audio in which it can read the lab's words: 8 kHz."""
    interims: bool = True
    """Whether words come before their final."""
    by_time: bool = False
    """Whether a session's time is paid for, and not its audio."""
    # Voices.
    native: bool = True
    """Whether it makes mu-law at 8 kHz."""
    words: bool = False
    """Whether it tells the times of words."""
    one_word: bool = False
    """Whether its times are of characters or pieces, so that words may be cut otherwise than at spaces."""
    # Both, and language models.
    told: bool = False
    """Whether the figures of its usage are the vendor's own."""

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    def make_vendor(self) -> Any:
        """A simulated vendor, as the suite wants it."""
        vendor = _named(self.vendor)()
        for name, value in self.prepare.items():
            setattr(vendor, name, value)
        return vendor

    def make(self, key: str | None = None, **settings: Any) -> Any:
        """The recipe."""
        keys = {self.key: _named(self.vendor).key if key is None else key} if self.key else {}
        return _named(self.recipe)(**{**keys, **self.settings, **settings})

    def make_bare(self) -> Any:
        """The recipe whose key is where users have it."""
        return _named(self.recipe)(**self.settings)

    def make_at(self, address: str) -> Any:
        """The recipe for a vendor at this address of the loopback: the path of its URL stays as it is."""
        parts = urlsplit(self.make().base_url)
        scheme = {"wss": "ws", "https": "http"}.get(parts.scheme, parts.scheme)
        return self.make(base_url=urlunsplit((scheme, address, parts.path, "", "")))


@attrs.define
class Told:
    """What a session told beside its results."""

    usage: list[Usage] = attrs.field(factory=list)
    openings: list[Opening] = attrs.field(factory=list)
    change: Callable[[dict[str, Any]], object] | None = attrs.field(default=None, kw_only=True)
    """A hook that changes the settings of openings."""

    def context(self, wire: Wire | None, **settings: Any) -> SessionContext:
        """A session's context that tells here."""
        ours = {"call_id": "call-1", "interim": True, "meter": self.usage.append, "opening": self.opening}
        return SessionContext(**{**ours, **settings}, wire=wire)

    def opening(self, opening: Opening) -> None:
        """What a session tells before it starts."""
        self.openings.append(opening)
        if self.change is not None:
            self.change(opening.settings)


class _Ear:
    """A vendor's WebSocket whose messages from the client are written down."""

    def __init__(self, socket: WebSocket, heard: list[str | bytes]) -> None:
        self._socket = socket
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def receive(self) -> str | bytes:
        message = await self._socket.receive()
        self._heard.append(message)
        return message


def overhear(vendor: Vendor) -> list[str | bytes]:
    """Every message that clients send in WebSockets from now on."""
    heard: list[str | bytes] = []
    serve = vendor.serve

    async def listening(socket: WebSocket, request: Request) -> None:
        await serve(_Ear(socket, heard), request)

    vendor.serve = listening  # type: ignore[method-assign]
    return heard


def on_the_wire(vendor: Vendor, messages: list[str | bytes], name: str, value: Any) -> bool:
    """Whether a setting reached the vendor: as a query parameter, in a body, or in a message."""
    for request in vendor.requests:
        given = request.query.get(name)
        wanted = [_written(each) for each in (value if isinstance(value, list) else [value])]
        if given is not None and given in (wanted, [json.dumps(value)]):
            return True
        if _inside(request.json, name, value):
            return True
        body = request.body.decode("utf-8", "replace")
        if request.json is None and name in body and all(each in body for each in _leaves(value)):  # a form, or XML
            return True
    for message in messages:
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        for start in (0, text.find("{")):
            try:
                found = json.loads(text[start:])
            except ValueError:
                continue
            if _inside(found, name, value):
                return True
    return False


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in (name, *_leaves(each))]
    return [_written(value)]


def _written(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _inside(data: Any, name: str, value: Any) -> bool:
    if isinstance(data, dict):
        own = data.get(name)
        if own == value or (isinstance(own, dict) and isinstance(value, dict) and value.items() <= own.items()):
            return True
        return any(_inside(each, name, value) for each in data.values())
    return isinstance(data, list) and any(_inside(each, name, value) for each in data)


@asynccontextmanager
async def simulated(case: Case) -> AsyncIterator[tuple[Any, Wire]]:
    """A simulated vendor in memory, and the way to it."""
    vendor = case.make_vendor()
    async with in_memory(vendor) as wire:
        yield vendor, wire


_STT = "callengine.providers.stt."
_TTS = "callengine.providers.tts."
_LLM = "callengine.providers.llm."
_FAKE = "callengine.testing.vendors."

_SCRIBE: Mapping[ProviderFault, tuple[str, ...]] = {
    "fatal": (
        "auth_error", "quota_exceeded", "unaccepted_terms", "input_error", "invalid_request", "chunk_size_exceeded",
    ),
    "retry": ("rate_limited", "resource_exhausted", "queue_overflow"),
    "reopen": ("transcriber_error", "session_time_limit_exceeded", "insufficient_audio_activity", "error"),
}  # fmt: skip

_SAID_BY_ELEVENLABS: tuple[tuple[Mapping[str, Any], ProviderFault], ...] = (
    ({"error": "quota_exceeded", "message": WORDS, "code": 1008}, "fatal"),
    ({"error": "voice_not_found", "message": WORDS, "code": 1008}, "fatal"),
    ({"error": "too_many_concurrent_requests", "message": WORDS, "code": 1008}, "retry"),
    ({"error": "internal_error", "message": WORDS, "code": 1011}, "retry"),
    ({"error": "input_timeout_exceeded", "message": WORDS, "code": 1008}, "reopen"),
    ({"error": "max_active_conversations", "message": WORDS, "code": 1008}, "reopen"),
)

STT: tuple[Case, ...] = (
    Case(
        title="deepgram nova-3", idle=math.inf,
        variable="DEEPGRAM_API_KEY", free="/v1/auth/token",
        role="stt", name="deepgram", recipe=f"{_STT}deepgram:Deepgram", vendor=f"{_FAKE}deepgram:FakeDeepgram",
        provider="deepgram", setting=("keyterm", ["Chez Trio"]),
        closes=(
            (1008, "DATA-0000: bytes do not decode", "fatal"), (1011, "NET-0000: no text within the window", "retry"),
            (1011, "NET-0001: Deepgram did not receive audio data or a text message", "reopen"),
            (1011, "did not receive audio data", "reopen"), (1009, "BIG-0000", "fatal"),
        ),
    ),
    Case(
        title="deepgram flux-general-en", idle=5.0,
        variable="DEEPGRAM_API_KEY", free="/v1/auth/token",
        role="stt", name="deepgram_flux", recipe=f"{_STT}deepgram_flux:DeepgramFlux",
        vendor=f"{_FAKE}deepgram:FakeDeepgram", provider="deepgram", setting=("keyterm", ["Chez Trio"]),
        errors=(
            ({"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": WORDS, "sequence_id": 9}, "retry"),
            ({"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": WORDS, "sequence_id": 9}, "fatal"),
        ),
    ),
    Case(
        title="assemblyai universal-3-6-pro", idle=0.0, by_time=True,
        variable="ASSEMBLYAI_API_KEY", free="/v3/token",
        role="stt", name="assemblyai", recipe=f"{_STT}assemblyai:AssemblyAI",
        vendor=f"{_FAKE}assemblyai:FakeAssemblyAI", provider="assemblyai",
        setting=("keyterms_prompt", ["Chez Trio"]),
        closes=(
            (1008, "Unauthorized Connection: Missing Authorization header", "fatal"),
            (1008, "Unauthorized Connection: Too many concurrent sessions", "retry"),
            (3009, "Unauthorized Connection: Too many concurrent sessions", "retry"),
            (3005, "Session Cancelled: An error occurred", "retry"),
            (3006, "Invalid Message Type", "fatal"),
            (3007, "Input duration violation: 20 ms. Expected between 50 and 1000 ms", "fatal"),
            (3008, "Session Expired: Maximum session duration exceeded", "reopen"),
            (1013, "", "retry"), (4001, "Not authorized", "fatal"), (4002, "Insufficient funds", "fatal"),
            (4003, "Paid only", "fatal"), (4031, "Session idle for too long", "reopen"),
        ),
    ),
    Case(
        title="cartesia ink-whisper", idle=60.0,
        variable="CARTESIA_API_KEY", free="/voices",
        role="stt", name="cartesia", recipe=f"{_STT}cartesia:Cartesia", vendor=f"{_FAKE}cartesia:FakeCartesia",
        provider="cartesia", setting=("keyterm", ["Chez Trio"]),
        errors=(
            *(({"type": "error", "status_code": code, "message": WORDS}, "fatal") for code in (400, 401, 402, 422)),
            *(({"type": "error", "status_code": code, "message": WORDS}, "retry") for code in (429, 500, 503)),
        ),
        closes=((1008, "", "fatal"), (1001, "", "reopen")),
    ),
    Case(
        title="elevenlabs scribe_v2_realtime", idle=math.inf,
        variable="ELEVENLABS_API_KEY", free="/v1/voices",
        role="stt", name="elevenlabs", recipe=f"{_STT}elevenlabs:ElevenLabs",
        vendor=f"{_FAKE}elevenlabs:FakeElevenLabs", provider="elevenlabs", setting=("keyterms", ["Chez Trio"]),
        errors=tuple(
            ({"message_type": kind, "error": WORDS}, fault)
            for fault, kinds in _SCRIBE.items()
            for kind in kinds
        ),
        closes=(
            (1008, "unusual", "fatal"), (1008, "input_timeout_exceeded", "reopen"),
            (1008, "too_many_concurrent_requests", "retry"),
        ),
    ),
    Case(
        title="azure", idle=240.0,
        variable="AZURE_SPEECH_KEY", free="/sts/v1.0/issueToken",
        role="stt", name="azure", recipe=f"{_STT}azure:Azure", vendor=f"{_FAKE}azure:FakeAzure", provider="azure",
        settings={"region": "westeurope"}, setting=("storeAudio", "true"),
        closes=(
            (1001, "", "reopen"), (1002, "", "fatal"), (1003, "", "fatal"), (1007, "bad parameters", "fatal"),
            (1008, "", "retry"), (4000, "", "fatal"),
        ),
    ),
    Case(
        title="speechmatics enhanced", idle=1800.0,
        variable="SPEECHMATICS_API_KEY", free="/v1/api_keys",
        role="stt", name="speechmatics", recipe=f"{_STT}speechmatics:Speechmatics",
        vendor=f"{_FAKE}speechmatics:FakeSpeechmatics", provider="speechmatics",
        setting=("transcription_config", {"punctuation_overrides": {"sensitivity": 0.4}}),
        closes=(
            (1003, "protocol_error", "fatal"), (1008, "idle_timeout", "reopen"), (1011, "internal_error", "retry"),
            (4001, "not_authorised", "fatal"), (4003, "not_allowed", "fatal"), (4004, "invalid_model", "fatal"),
            (4005, "quota_exceeded", "retry"), (4006, "timelimit_exceeded", "fatal"), (4013, "job_error", "retry"),
            (4999, "something new", "retry"),
        ),
        errors=(
            ({"message": "Error", "type": "invalid_config", "reason": WORDS}, "fatal"),
            ({"message": "Error", "type": "not_authorised", "reason": WORDS}, "fatal"),
            ({"message": "Error", "type": "quota_exceeded", "reason": WORDS}, "retry"),
            ({"message": "Error", "type": "unknown_error", "reason": WORDS}, "retry"),
        ),
    ),
    Case(
        title="soniox stt-rt-v5", idle=0.0, by_time=True,
        variable="SONIOX_API_KEY", free="/v1/models",
        role="stt", name="soniox", recipe=f"{_STT}soniox:Soniox", vendor=f"{_FAKE}soniox:FakeSoniox",
        provider="soniox", setting=("client_reference_id", "call 7"),
        errors=tuple(
            ({"tokens": [], "error_code": code, "error_message": WORDS}, fault)
            for code, fault in (
                (400, "fatal"), (401, "fatal"), (402, "fatal"), (403, "fatal"), ("401", "fatal"), (408, "reopen"),
                (413, "retry"), (418, "fatal"), ("429", "retry"), (500, "reopen"), (502, "retry"), (503, "reopen"),
                ("odd", "retry"),
            )
        ),
    ),
    Case(
        title="openai gpt-live-transcribe", idle=600.0,
        variable="OPENAI_API_KEY", free="/v1/models",
        role="stt", name="openai", recipe=f"{_STT}openai:OpenAI", vendor=f"{_FAKE}openai_audio:FakeOpenAIAudio",
        provider="openai", setting=("include", ["item.input_audio_transcription.logprobs"]), reads=False, told=True,
        errors=(
            ({"type": "error", "error": {"code": "invalid_api_key", "message": WORDS}}, "fatal"),
            ({"type": "error", "error": {"type": "insufficient_quota", "code": None, "message": WORDS}}, "fatal"),
            ({"type": "error", "error": {"type": "credit_balance_exhausted", "message": WORDS}}, "fatal"),
            ({"type": "error", "error": {"code": "session_expired", "message": WORDS}}, "reopen"),
            ({"type": "error", "error": {"type": "server_error", "code": None, "message": WORDS}}, "retry"),
            ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": WORDS}}, "retry"),
        ),
        closes=((1001, "", "reopen"), (1013, "", "retry")),
    ),
    Case(
        title="whisper whisper-1", idle=math.inf,
        variable="WHISPER_API_KEY", free="/v1/models",
        role="stt", name="whisper", recipe=f"{_STT}whisper:Whisper", vendor=f"{_FAKE}whisper:FakeWhisper",
        provider="whisper", setting=("temperature", 0), socket=False, reads=False, interims=False,
        prepare={"keyed": True}, settings={"decode_ahead": False}, told=True,
    ),
)  # fmt: skip
TTS: tuple[Case, ...] = (
    Case(
        title="cartesia sonic-3", idle=270.0,
        variable="CARTESIA_API_KEY", free="/voices",
        role="tts", name="cartesia", recipe=f"{_TTS}cartesia:Cartesia", vendor=f"{_FAKE}cartesia:FakeCartesia",
        provider="cartesia", setting=("generation_config", {"speed": 0.9}), words=True,
        errors=(({"type": "error", "status_code": 402, "message": WORDS}, "fatal"),),
    ),
    Case(
        title="elevenlabs eleven_flash_v2_5", idle=math.inf,
        variable="ELEVENLABS_API_KEY", free="/v1/voices",
        role="tts", name="elevenlabs", recipe=f"{_TTS}elevenlabs:ElevenLabs",
        vendor=f"{_FAKE}elevenlabs:FakeElevenLabs", provider="elevenlabs",
        setting=("apply_text_normalization", "off"), words=True, errors=_SAID_BY_ELEVENLABS,
        closes=(
            (1008, "voice settings may only be sent in the first message", "fatal"),
            (1008, "Maximum simultaneous contexts exceeded", "reopen"),
        ),
    ),
    Case(
        title="elevenlabs eleven_flash_v2_5 over http", idle=math.inf,
        variable="ELEVENLABS_API_KEY", free="/v1/voices",
        role="tts", name="elevenlabs_http", recipe=f"{_TTS}elevenlabs_http:ElevenLabsHttp",
        vendor=f"{_FAKE}elevenlabs:FakeElevenLabs", provider="elevenlabs", setting=("seed", 7), socket=False,
    ),
    Case(
        title="deepgram aura-2-thalia-en", idle=60.0,
        variable="DEEPGRAM_API_KEY", free="/v1/auth/token",
        role="tts", name="deepgram", recipe=f"{_TTS}deepgram:Deepgram", vendor=f"{_FAKE}deepgram:FakeDeepgram",
        provider="deepgram", setting=("speed", 1.1),
        closes=(
            (1003, "MESSAGE-0000", "fatal"), (1008, "DATA-0000", "fatal"), (1008, "DATA-0001", "retry"),
            (1009, "BIG-0000", "fatal"), (1011, "NET-0000", "retry"), (1011, "NET-0001: nothing received", "reopen"),
            (1011, "NET-0002: cannot send", "retry"), (1011, "NET-0003", "reopen"),
        ),
    ),
    Case(
        title="inworld inworld-tts-2", idle=300.0,
        variable="INWORLD_API_KEY", free="/tts/v1/voices",
        role="tts", name="inworld", recipe=f"{_TTS}inworld:Inworld", vendor=f"{_FAKE}inworld:FakeInworld",
        provider="inworld", setting=("temperature", 0.7), words=True,
        errors=(
            *(({"error": {"code": code, "message": WORDS}}, "fatal") for code in (7, 16)),
            *(({"error": {"code": code, "message": WORDS}}, "retry") for code in (8, 13, 14)),
        ),
    ),
    Case(
        title="rime coda", idle=300.0,
        variable="RIME_API_KEY", free="/ws3",
        role="tts", name="rime", recipe=f"{_TTS}rime:Rime", vendor=f"{_FAKE}rime:FakeRime", provider="rime",
        setting=("speedAlpha", 0.9), words=True,
        closes=((1011, "401 invalid subscription", "fatal"), (1011, "429 too many", "retry")),
    ),
    Case(
        title="openai gpt-4o-mini-tts", idle=math.inf,
        variable="OPENAI_API_KEY", free="/v1/models",
        role="tts", name="openai", recipe=f"{_TTS}openai:OpenAI", vendor=f"{_FAKE}openai_audio:FakeOpenAIAudio",
        provider="openai", setting=("speed", 1.1), socket=False, native=False, refusals=(*REFUSALS, (409, "retry")),
    ),
    Case(
        title="azure en-US-AvaMultilingualNeural", idle=math.inf,
        variable="AZURE_SPEECH_KEY", free="/cognitiveservices/voices/list",
        role="tts", name="azure", recipe=f"{_TTS}azure:Azure", vendor=f"{_FAKE}azure:FakeAzure", provider="azure",
        settings={"region": "westeurope"}, setting=("prosody", {"pitch": "low"}), socket=False,
        refusals=(*REFUSALS, (415, "fatal"), (504, "retry")),
    ),
)  # fmt: skip
LLM: tuple[Case, ...] = (
    Case(
        role="llm", name="openai_chat", recipe=f"{_LLM}openai_compatible:OpenAICompatible",
        vendor=f"{_FAKE}openai_chat:FakeOpenAIChat", provider="openai", socket=False, told=True,
        settings={"base_url": "https://api.openai.com/v1", "model": "gpt-6-luna"}, setting=("seed", 7),
    ),
    Case(
        title="openai gpt-6-luna", idle=math.inf,
        variable="OPENAI_API_KEY", free="/v1/models",
        role="llm", name="openai_responses", recipe=f"{_LLM}openai_responses:OpenAIResponses",
        vendor=f"{_FAKE}openai_responses:FakeOpenAIResponses", provider="openai", socket=False, told=True,
        setting=("metadata", {"line": "7"}),
    ),
    Case(
        title="anthropic claude-haiku-5-5", idle=math.inf,
        variable="ANTHROPIC_API_KEY", free="/v1/models",
        role="llm", name="anthropic", recipe=f"{_LLM}anthropic:Anthropic", vendor=f"{_FAKE}anthropic:FakeAnthropic",
        provider="anthropic", socket=False, told=True, setting=("metadata", {"user_id": "7"}),
        refusals=(*REFUSALS, (529, "retry")),
    ),
    Case(
        title="gemini gemini-3.8-flash", idle=math.inf,
        variable="GEMINI_API_KEY", free="/v1beta/models",
        role="llm", name="gemini", recipe=f"{_LLM}gemini:Gemini", vendor=f"{_FAKE}gemini:FakeGemini",
        provider="gemini", socket=False, told=True, setting=("labels", {"line": "7"}),
    ),
)  # fmt: skip
CASES = (*STT, *TTS, *LLM)
