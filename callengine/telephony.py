"""What telephony is to an engine, whatever the carrier: what can be asked of a leg, and what a carrier tells of one.

A *leg* is one person's connection to the carrier; ``call_id`` is the carrier's name for it. A *reference* is the
engine's own name for something that it asked for, such as an outgoing call: it stands in the URLs at which the carrier
calls back, so that what comes back is understood even before the carrier's answer has named the leg.

All times are seconds; numbers are E.164 (``+15005550001``) or ``sip:`` addresses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, runtime_checkable
from urllib.parse import quote

import attrs
import trio

from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.ports import CarrierCodec, MediaSocket

# --- what a carrier can do ----------------------------------------------------------------------------------------

DtmfOut: TypeAlias = Literal["socket", "command", "in-band"]
"""How keys are sent to the other end: a message on the media socket, a REST command, or tones in the audio."""

TransferKind: TypeAlias = Literal["cold", "warm", "refer"]
"""``cold``: the caller is handed over unannounced. ``warm``: a human is called and briefed first, then both are
joined. ``refer``: a SIP leg is handed back to its own PBX (RFC 3515)."""


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a carrier can do, so that an application can ask instead of fail."""

    marks: bool = True
    """Whether it says when audio was played. Without it the clock decides what was heard."""
    dtmf_in: bool = True
    dtmf_out: DtmfOut = "in-band"
    instructed: Literal["response", "command", "stream"] = "response"
    """How an incoming call learns what to do: in the answer to its webhook, by a command afterwards, or not at all
    (the media stream is the call)."""
    hang_up: bool = False
    dial: bool = False
    transfers: frozenset[TransferKind] = frozenset()
    amd: bool = False
    """Whether it can tell an answering machine from a person."""
    recording: bool = False
    messages: bool = False
    """Whether it sends and receives text messages (SMS)."""
    numbers: bool = False
    """Whether its numbers can be listed and pointed at an engine."""
    audio: AudioFormat = TELEPHONE
    """What its media streams are expected to carry: what providers are opened for while a telephone rings."""


# --- what a leg can be told to do -----------------------------------------------------------------------------------


@attrs.frozen
class ConnectStream:
    """Open a bidirectional media stream to this URL. ``parameters`` come back with the stream's start message, where
    the carrier can carry them."""

    url: str = attrs.field(repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class DialTarget:
    """Cold transfer: ring this number (or SIP address), and connect the leg with it when it is answered."""

    to: str = attrs.field(repr=False)
    caller_id: str = attrs.field(repr=False)
    """The number that the target's telephone shows: one that the account may use."""
    timeout: float = 30.0
    """Seconds to ring."""


@attrs.frozen
class ReferTo:
    """Hand a SIP leg to another SIP address (SIP REFER)."""

    to: str = attrs.field(repr=False)


@attrs.frozen
class JoinRoom:
    """Enter a room with exactly one other leg; when one of the two leaves, the room ends."""

    room: str


@attrs.frozen
class Refuse:
    """Do not take the call. The carrier speaks ``words`` and hangs up; without any, the caller hears "busy"."""

    words: str | None = None


Instruction: TypeAlias = ConnectStream | DialTarget | ReferTo | JoinRoom | Refuse


# --- what carriers tell -----------------------------------------------------------------------------------------------

Progress: TypeAlias = Literal["queued", "ringing", "answered", "completed", "busy", "no answer", "failed", "canceled"]
FINAL: frozenset[Progress] = frozenset({"completed", "busy", "no answer", "failed", "canceled"})
"""After which a leg has no other progress."""

AnsweredBy: TypeAlias = Literal["human", "machine", "fax", "unknown"]


@attrs.frozen
class IncomingCall:
    """A call that waits for instructions. Numbers may also be ``client:`` names, or words such as ``anonymous``."""

    call_id: str
    caller: str = attrs.field(repr=False)
    callee: str = attrs.field(repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Everything else that the carrier says of it, by the carrier's own names."""


@attrs.frozen
class InstructionsWanted:
    """The carrier asks what a leg that the engine dialled, or transferred, shall do (now)."""

    call_id: str
    reference: str


@attrs.frozen(kw_only=True)
class CallProgress:
    """How far a leg is. Deliveries may be repeated, and overtake each other."""

    call_id: str
    progress: Progress
    reference: str | None = None
    order: float | None = None
    """Grows with the leg's life, where the carrier says: a later delivery with a smaller one is old."""
    reason: str = ""
    """The carrier's own words or code for it, such as ``USER_BUSY``."""
    sip_code: int | None = None
    duration: float | None = None

    @property
    def final(self) -> bool:
        return self.progress in FINAL


@attrs.frozen
class MachineDetection:
    """Who, or what, answered."""

    call_id: str
    answered_by: AnsweredBy
    reference: str | None = None


@attrs.frozen
class GreetingEnded:
    """An answering machine has said its greeting and records now; ``beep`` says whether its tone was heard."""

    call_id: str
    beep: bool
    reference: str | None = None


@attrs.frozen
class TransferEnded:
    """What became of a `DialTarget` or `ReferTo`: ``completed`` when the target had answered. The caller's leg waits
    for instructions where ``result`` is another and ``waiting``."""

    call_id: str
    reference: str
    result: Progress
    reason: str = ""
    waiting: bool = True


@attrs.frozen
class StreamFailed:
    """The carrier could not open, or lost, a media stream."""

    call_id: str
    reason: str
    reference: str | None = None


@attrs.frozen(kw_only=True)
class RecordingReady:
    """A recording that the carrier made can be fetched."""

    call_id: str
    recording_id: str
    url: str = attrs.field(repr=False)
    carrier: str = ""
    """The name of the carrier that has it."""
    duration: float | None = None
    failed: str = ""
    """Why there is none; empty where there is."""


@attrs.frozen(kw_only=True)
class IncomingMessage:
    """A text message (SMS) to one of the account's numbers. ``media`` are URLs of pictures and the like."""

    message_id: str
    sender: str = attrs.field(repr=False)
    recipient: str = attrs.field(repr=False)
    text: str = attrs.field(repr=False)
    media: tuple[str, ...] = attrs.field(default=(), repr=False)
    carrier: str = ""
    """The name of the carrier that brought it."""


@attrs.frozen(kw_only=True)
class MessageProgress:
    """What became of a text message that was sent."""

    message_id: str
    status: Literal["queued", "sent", "delivered", "failed"]
    reason: str = ""


@attrs.frozen
class Unremarkable:
    """Something that is legal and means nothing to an engine; ``kind`` is short and constant, for counting."""

    kind: str


CarrierFact: TypeAlias = (
    IncomingCall
    | InstructionsWanted
    | CallProgress
    | MachineDetection
    | GreetingEnded
    | TransferEnded
    | StreamFailed
    | RecordingReady
    | IncomingMessage
    | MessageProgress
    | Unremarkable
)


# --- webhooks ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Webhook:
    """A request of a carrier to ``/{carrier}/{what}`` or ``/{carrier}/{what}/{reference}``."""

    what: str
    reference: str | None = None
    method: str = "POST"
    query: bytes = attrs.field(default=b"", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class WebhookAnswer:
    """What a webhook is answered."""

    status: int = 204
    body: str = attrs.field(default="", repr=False)
    media_type: str | None = None


@attrs.frozen
class CallbackUrls:
    """Where a carrier calls back about one thing that was asked for.

    ``base`` is the public URL with the carrier's name, as in ``https://voice.example.com/twilio``.
    """

    base: str
    reference: str

    def to(self, what: str) -> str:
        """The URL at which the engine wants to hear this."""
        return f"{self.base}/{what}/{quote(self.reference, safe='')}"


# --- commands ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class NewLeg:
    """A call to be made. ``stream`` is what it shall do when it is answered."""

    to: str = attrs.field(repr=False)
    sender: str = attrs.field(repr=False)
    """The number that is shown: one that the account may use."""
    stream: ConnectStream
    urls: CallbackUrls
    ring_timeout: float = 30.0
    max_duration: float | None = None
    amd: Literal["off", "detect", "message end"] = "off"
    """``message end`` also wants to know when a machine's greeting is over, where the carrier tells that as well."""
    send_digits: str = attrs.field(default="", repr=False)
    """Keys to press as soon as it is answered (an extension); ``w`` waits half a second, ``W`` a second."""


@attrs.frozen(kw_only=True)
class NewMessage:
    """A text message to be sent. ``urls`` is where its progress is told; None: it is not wanted."""

    to: str = attrs.field(repr=False)
    sender: str = attrs.field(repr=False)
    text: str = attrs.field(repr=False)
    urls: CallbackUrls | None = None


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A number of the account."""

    number: str
    number_id: str
    """The carrier's name for it."""
    voice_url: str = ""
    """Where its calls are announced; empty where nowhere."""
    label: str = ""


class CarrierControl(Protocol):
    """A carrier's commands. Every method is bounded in time and raises `CarrierError`.

    A method of something that the carrier cannot do raises `NotSupported`; `Capabilities` says so before.
    """

    async def dial(self, leg: NewLeg) -> str:
        """Call somebody; returns the carrier's name for the leg (or for the request, until it has one)."""

    async def instruct(self, call_id: str, instruction: Instruction, urls: CallbackUrls) -> None:
        """Make a live leg do this now, in place of what it does.

        Carriers that fetch their instructions ask at ``urls.to("instructions")``, where the engine has them ready.
        """

    async def join(self, call_id: str, other_id: str, room: JoinRoom, urls: CallbackUrls) -> None:
        """Put two live legs together, out of their media streams."""

    async def hang_up(self, call_id: str) -> None:
        """End a leg, ringing or not. One that is over already is no error."""

    async def send_dtmf(self, call_id: str, digits: str) -> None:
        """Press keys (0-9 * # A-D, w W to wait) on a leg, for carriers whose ``dtmf_out`` is ``command``."""

    async def start_recording(self, call_id: str, urls: CallbackUrls) -> str:
        """Record a leg, both directions apart where possible; returns the recording's name."""

    async def stop_recording(self, call_id: str, recording_id: str) -> None:
        """Stop a recording; one that is over already is no error."""

    async def send_message(self, message: NewMessage) -> str:
        """Send a text message; returns its name."""

    async def numbers(self) -> list[PhoneNumber]:
        """The account's numbers, all pages."""

    async def point_number(self, number: PhoneNumber, base: str) -> None:
        """Have the number's calls and messages announced at ``base`` (see `CallbackUrls`)."""

    def authorisation(self, url: str) -> tuple[str, str] | None:
        """User and password for fetching this recording or picture; None where it needs none, or is elsewhere: what a
        message says must not lead the account's password to a stranger."""


class Consulted(Protocol):
    """Somebody who was called for a caller, and takes the call."""

    async def join(self) -> None:
        """Put the caller and him together, out of their media streams."""


class Leg(Protocol):
    """What one call can ask of its carrier. Everything is bounded in time.

    Raises `CarrierError`; `NotSupported` for what the carrier cannot do; `ConfigurationError` where a key is missing.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def commanded(self) -> bool:
        """Whether commands can be given at all: keys are there."""

    async def hang_up(self) -> None: ...

    async def transfer(self, to: str, *, caller_id: str | None, timeout: float) -> None:
        """Have the carrier ring ``to``; the media stream ends. Where nobody answers, the caller comes back."""

    async def refer(self, to: str) -> None:
        """Hand a SIP leg to another SIP address."""

    def consult(self, to: str, *, briefing: str, timeout: float) -> AbstractAsyncContextManager[Consulted]:
        """Call somebody, brief him, and ask whether he takes the call: he has accepted when the context is entered.

        Leaving it without having joined him tells him so, and hangs up. Raises `TransferFailed`.
        """

    async def send_dtmf(self, digits: str) -> None: ...

    async def start_recording(self) -> str: ...

    async def stop_recording(self, recording_id: str) -> None: ...

    async def send_message(self, to: str, text: str) -> str: ...


@runtime_checkable
class SelfServing(Protocol):
    """A carrier whose calls come to a listener of its own."""

    async def serve(
        self,
        take: Callable[[IncomingCall, MediaSocket], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Have each call taken, until cancelled; ``task_status`` gets the addresses and ports that it listens on."""


@runtime_checkable
class SignsTime(Protocol):
    """A carrier that signs when it made each request, so that the same one again is a replay."""

    def signed(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """What was signed of a genuine request: the time, and what was told then."""


class Carrier(Protocol):
    """A carrier's recipe: frozen configuration that every call shares."""

    @property
    def name(self) -> str:
        """The first part of its routes' paths."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def webhooks(self) -> frozenset[str]:
        """The second parts of its routes' paths: ``voice``, ``status`` ..."""

    @property
    def sender(self) -> str | None:
        """The number that outgoing calls and messages show unless they name one."""

    def codec(self) -> CarrierCodec:
        """The wire protocol for one more media stream."""

    def missing_configuration(self) -> str | None:
        """What has to be set before calls can be taken, and how; None where nothing is missing."""

    def missing_for_commands(self) -> str | None:
        """What has to be set before commands can be given, and how; None where nothing is missing."""

    def verify_webhook(self, method: str, public_url: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """Whether the carrier signed this request to the public URL; ``now`` is Unix time in seconds."""

    def verify_upgrade(self, public_url: str, headers: Mapping[str, str]) -> bool:
        """Whether the carrier signed this WebSocket upgrade of the public ``wss://`` URL; True where it signs none
        (the one-time token in the URL says who it is)."""

    def read_webhook(self, webhook: Webhook) -> tuple[CarrierFact, ...]:
        """What a webhook says. Raises `WebhookError` for what is malformed, without quoting it."""

    def answer(self, webhook: Webhook, instruction: Instruction | None, urls: CallbackUrls | None) -> WebhookAnswer:
        """What a webhook is answered: with an instruction, where it asked for one. ``urls`` is where the instruction's
        own callbacks go."""

    def control(self, http: Any) -> CarrierControl:
        """The commands, over this `httpx.AsyncClient`. Raises `ConfigurationError` where something is missing."""
