"""The small protocols between the rooms: what a call knows of carriers and of vendors.

Providers are *recipes*: frozen configuration that every call may share. ``open`` gives one call its own *session*
as an async context manager; leaving it releases everything the session holds. Sessions are used by one call only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import attrs
import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import AudioFormat, Pcm


@attrs.frozen
class SessionContext:
    """What a provider may know of the call it serves."""

    call_id: str
    language: str = "en"
    sample_rate: int = 8000
    """Hz of the caller's audio as it is given to a recogniser."""
    interim: bool = False
    """Whether somebody wants interim transcripts (they may cost CPU or money)."""


# --- speech to text ---------------------------------------------------------------------------------------------


HintKind: TypeAlias = Literal["eager", "end", "resumed"]
"""What a recogniser that judges turns itself can say of one: it seems to be over, it is, or it was not."""


@attrs.frozen
class SttResult:
    """Words of the caller: interim (will change) or final (will not).

    ``utterance`` is the number that ``start_utterance`` gave; every utterance gets exactly one final, with an empty
    text where nothing was understood. ``hint`` is for recognisers that judge turns themselves: what they say of the
    turn together with these words.
    """

    text: str
    final: bool
    utterance: int
    hint: HintKind | None = None


class SttSession(Protocol):
    """One call's recogniser.

    The call keeps the audio; the session is told where an utterance starts and ends, and gets its audio in blocks of
    about 100 ms in between. After an error the call opens another session and sends the utterance again.
    All methods may raise `ProviderError`.
    """

    async def start_utterance(self, utterance: int) -> None:
        """The caller began to speak (the audio that follows starts a little before that)."""

    async def send(self, audio: Pcm) -> None:
        """The next block of the utterance, contiguous with the last one."""

    async def pause(self) -> None:
        """The caller fell silent for a moment: a good time to decode ahead. More audio may follow."""

    async def end_utterance(self) -> None:
        """The utterance is over: its final is wanted now."""

    async def receive(self) -> SttResult:
        """Wait for the next result. Cancellable without loss."""


class SpeechToText(Protocol):
    """A recogniser's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[SttSession]: ...


# --- text to speech ---------------------------------------------------------------------------------------------


@attrs.frozen
class WordTime:
    """When a word of a synthesised text starts and ends, in seconds of its audio."""

    word: str
    start: float
    end: float


@attrs.frozen
class SpeechChunk:
    """Some audio of a sentence, of any length (an odd number of bytes too), and word times where they are known."""

    audio: bytes
    words: tuple[WordTime, ...] = ()


class TtsSession(Protocol):
    """One call's synthesiser."""

    @property
    def audio_format(self) -> AudioFormat:
        """Encoding and rate of every chunk."""

    def synthesise(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[SpeechChunk]]:
        """Speak one sentence. Leaving the context cancels what is left of the synthesis."""


class TextToSpeech(Protocol):
    """A synthesiser's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[TtsSession]: ...


# --- language models --------------------------------------------------------------------------------------------

Role: TypeAlias = Literal["system", "user", "assistant"]


@attrs.frozen
class Message:
    """One entry of a conversation as a language model sees it."""

    role: Role
    content: str


@attrs.frozen
class TextDelta:
    """Some more text of a reply."""

    text: str


@attrs.frozen
class Usage:
    """Tokens that a reply cost."""

    input_tokens: int
    output_tokens: int


LlmEvent: TypeAlias = TextDelta | Usage


class LlmSession(Protocol):
    """One call's language model."""

    def reply(self, messages: Sequence[Message]) -> AbstractAsyncContextManager[AsyncIterator[LlmEvent]]:
        """Stream the next assistant message. Leaving the context closes the stream, so that billing stops."""


class LanguageModel(Protocol):
    """A language model's recipe."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[LlmSession]: ...


# --- end of turn ------------------------------------------------------------------------------------------------


class TurnDetectorSession(Protocol):
    """One call's judge of whether the caller has finished his turn or is only searching for words."""

    async def finished(self, audio: Pcm) -> float:
        """The probability (0..1) that the caller has finished.

        ``audio`` is his turn so far at the context's sample rate: everything since it began, pauses included, ending
        with the short silence (about 0.2 s) that goes on now. It always has speech in it: models say nothing of use
        about pure silence, so they are never asked. Cancelled when the caller speaks on. Raises `ProviderError`.
        """


class TurnDetector(Protocol):
    """The recipe of a semantic end-of-turn model."""

    @property
    def name(self) -> str: ...

    def open(self, context: SessionContext) -> AbstractAsyncContextManager[TurnDetectorSession]: ...


@runtime_checkable
class TurnDetectorModel(Protocol):
    """A turn detector that has something to load before calls can use it."""

    async def load(self, *, inline: bool = False) -> TurnDetector:
        """Load it; ``inline`` runs it in the task that asks, for tests on a virtual clock."""


# --- local helpers ----------------------------------------------------------------------------------------------


class VadModel(Protocol):
    """A voice activity model that steps many calls at once. It holds no state of a call: the caller of `step` does."""

    sample_rate: int
    window: int
    """New samples a step (256 at 8 kHz: 32 ms)."""
    context: int
    """Samples of the previous window that each step sees again."""
    state_size: int
    """Floats of recurrent state a call."""

    def step(
        self, audio: NDArray[np.float32], context: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One window of B calls: audio (B, window) in -1..1, context (B, context), state (B, state_size).

        Returns the probabilities of speech (B,) and the new state (B, state_size).
        """


class SentenceEncoder(Protocol):
    """Turns sentences into vectors whose dot product is their likeness (unit length)."""

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape ``(len(texts), dimensions)``."""


class EchoSession(Protocol):
    """One call's echo canceller."""

    def process(self, near: Pcm, far: Pcm) -> Pcm:
        """Remove from ``near`` (the caller's line) what ``far`` (the agent's audio then playing) left in it.

        Both are frames of the same length (20 ms); the result is too.
        """


class EchoCanceller(Protocol):
    """An echo canceller's recipe."""

    def open(self, sample_rate: int) -> EchoSession: ...


# --- carriers ---------------------------------------------------------------------------------------------------


@attrs.frozen
class StreamStarted:
    """A media stream begins: whose it is and what its audio is."""

    stream_id: str
    call_id: str
    audio_format: AudioFormat
    parameters: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class MarkEchoed:
    """The carrier reached (or threw away) everything that was sent before this mark."""

    name: str


@attrs.frozen
class DtmfPressed:
    """The caller pressed a key (0-9, *, #, A-D). Never log the digit."""

    digit: str = attrs.field(repr=False)


@attrs.frozen
class StreamStopped:
    """The carrier says that the stream is over."""


@attrs.frozen
class Ignored:
    """A message that is legal, or at least harmless, and means nothing to a call. ``kind`` names it."""

    kind: str


@attrs.frozen
class BadMessage:
    """A message that could not be understood. It never ends a call. ``kind`` is short and constant, for counting."""

    kind: str
    detail: str


CarrierEvent: TypeAlias = bytes | StreamStarted | MarkEchoed | DtmfPressed | StreamStopped | Ignored | BadMessage
"""What a carrier's message means. Plain ``bytes`` are the caller's audio of one media message, in the stream's format:
fifty of them a second and call, so they are not wrapped."""


class CarrierCodec(Protocol):
    """The wire protocol of one media stream, without any I/O."""

    def decode(self, text: bool, payload: bytes) -> CarrierEvent:
        """Understand one message. Never raises for anything a peer can send."""

    def media(self, audio: bytes) -> bytes:
        """The message that makes the carrier play ``audio``."""

    def mark(self, name: str) -> bytes:
        """The message that asks for an echo when everything before it was played."""

    def clear(self) -> bytes:
        """The message that makes the carrier forget what it has not played."""


@runtime_checkable
class KeyCodec(Protocol):
    """A codec whose carrier sends keys to the other end on the media socket."""

    def dtmf(self, digits: str) -> bytes:
        """The message that presses these keys (0-9, *, #, A-D)."""


class MediaSocket(Protocol):
    """The one owner of a carrier's media connection."""

    async def receive(self) -> list[tuple[bool, bytes]]:
        """Wait for messages: every complete one that has arrived, as (is text, payload).

        Raises `SocketClosed` when the peer is gone, once all earlier messages were handed out.
        """

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        """Send a text message. Never blocks: what the kernel does not take waits in a bounded buffer.

        ``discardable`` messages that have not begun to leave can be thrown away again by `discard_unsent`.
        Raises `SocketClosed` when the socket is closed, or by then has more waiting than its limit.
        """

    def discard_unsent(self) -> int:
        """Throw away the discardable messages of which no byte has left; returns how many."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close politely: flush, close frame, wait for the peer's (bounded), then the connection. Idempotent."""

    def close_nowait(self) -> None:
        """Close the connection at once, without a word. Idempotent."""
