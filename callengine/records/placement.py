"""Where each piece of a call's audio belongs in time: the caller's by arrival, the agent's by playout."""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from callengine.audio import AudioFormat, Pcm, to_pcm
from callengine.audio.format import TELEPHONE
from callengine.journal import Record

MAX_STALL = 0.06
"""Seconds by which audio may come late before it is taken to be later: three frames, above the jitter that a carrier's
own buffer evens out and below a gap that is heard as one."""
MAX_ROUNDING = 0.001
"""Seconds by which the playout of two slices of one utterance may miss each other and still be contiguous: journal
times are rounded to a microsecond, and no carrier runs dry for a millisecond only."""


@attrs.frozen(eq=False)
class CallerAudio:
    """One media message of the caller."""

    position: int
    """Of its first sample in the stream."""
    start: int
    """Of its first sample in the recording."""
    audio: Pcm

    @property
    def end(self) -> int:
        """The sample of the recording after its last one."""
        return self.start + len(self.audio)


@attrs.frozen(eq=False)
class AgentSlice:
    """One media message of the agent."""

    utterance: int
    start: int
    """Of its first sample in the recording."""
    samples: int
    heard: int
    """How many of them were played before the clear, or the end of the call."""
    audio: Pcm | None
    """None where the journal holds no audio."""
    mark: str
    sent: float
    """When it left (journal time)."""

    @property
    def end(self) -> int:
        """The sample after its last one, had all of it been played."""
        return self.start + self.samples


def stream_format(records: Iterable[Record]) -> AudioFormat:
    """What the audio in a journal is, from its ``call.started``; G.711 mu-law at 8 kHz where that is missing."""
    for record in records:
        if record.kind == "call.started":
            return AudioFormat(
                record.data.get("encoding", TELEPHONE.encoding),
                record.data.get("sample_rate", TELEPHONE.sample_rate),
            )
    return TELEPHONE


def end_of_call(records: Sequence[Record]) -> float:
    """When the call ended (journal time); where the journal breaks off, its last record's time."""
    ended = [record.t for record in records if record.kind == "call.ended"]
    return ended[-1] if ended else max((record.t for record in records), default=0.0)


def caller_audio(records: Iterable[Record], audio_format: AudioFormat) -> list[CallerAudio]:
    """The caller's audio in the recording: contiguous as it was numbered, and never overlapping.

    A message was spoken until it arrived, at the latest. One that is late, and followed by others that are not, was
    held up on its way: it stays in place. Where everything from some message on is more than `MAX_STALL` later, the
    carrier sent nothing for that long: there, silence is put in.
    """
    rate = audio_format.sample_rate
    arrived: list[tuple[int, int, Pcm]] = []
    for record in records:
        if record.kind == "media.received":
            audio = to_pcm(_bytes(record.data["audio"]), audio_format.encoding)
            arrived.append((record.data["position"], round(record.t * rate) - len(audio), audio))
    if not arrived:
        return []
    late = np.array([start - position for position, start, _ in arrived])
    on_time = np.minimum.accumulate(late[::-1])[::-1]  # the least late from here on
    shift = max(int(on_time[0]), -arrived[0][0])  # nothing starts before the call
    placed = []
    for (position, _, audio), least in zip(arrived, on_time.tolist(), strict=True):
        if least - shift > MAX_STALL * rate:
            shift = least
        placed.append(CallerAudio(position, position + shift, audio))
    return placed


def time_of_position(placed: Sequence[CallerAudio], position: int, rate: int) -> float | None:
    """When a sample of the caller's stream was spoken (journal time); None where the journal has no audio."""
    index = bisect_right(placed, position, key=lambda message: message.position) - 1
    if index < 0:
        return None
    return (placed[index].start + position - placed[index].position) / rate


def agent_audio(records: Sequence[Record], audio_format: AudioFormat) -> list[AgentSlice]:
    """The agent's audio in the recording, and how much of each slice was heard.

    A slice is heard until the next clear of its utterance left: what a pause threw away is in the recording where it
    was sent again. Everything is heard until the call ended.
    """
    rate = audio_format.sample_rate
    over = round(end_of_call(records) * rate)
    placed: list[AgentSlice] = []
    follows: dict[int, tuple[int, int]] = {}
    on_line: dict[int, list[int]] = {}
    """Slices of each utterance that no clear has followed."""
    for record in records:
        if record.kind == "clear.sent":
            cleared = round(record.t * rate)
            for index in on_line.pop(record.data["utterance"], ()):
                placed[index] = _until(placed[index], cleared)
        if record.kind != "media.sent":
            continue
        data = record.data
        utterance, samples = data["utterance"], data["samples"]
        start = round(data["playout"] * rate)
        position, end = follows.get(utterance, (-1, 0))
        if position == data["position"] and abs(start - end) <= MAX_ROUNDING * rate:
            start = end
        follows[utterance] = (data["position"] + samples, start + samples)
        audio = to_pcm(_bytes(data["audio"]), audio_format.encoding) if "audio" in data else None
        on_line.setdefault(utterance, []).append(len(placed))
        whole = AgentSlice(utterance, start, samples, samples, audio, data.get("mark", ""), record.t)
        placed.append(_until(whole, over))
    return placed


def _until(part: AgentSlice, moment: int) -> AgentSlice:
    """The slice, played no longer than to this sample of the recording."""
    return attrs.evolve(part, heard=min(max(moment - part.start, 0), part.heard))


def _bytes(audio: bytes | str) -> bytes:
    """Audio of a record: as it is while the call lives, base64 when it was read from a file."""
    return b64decode(audio) if isinstance(audio, str) else audio
