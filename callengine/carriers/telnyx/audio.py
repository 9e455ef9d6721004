"""The audio of a Telnyx stream: its formats by Telnyx's names, and from the one that comes to the one that is used.

Source: https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming. The two directions of a stream may
have different codecs: what comes follows the call's leg, what goes is what was asked for. An engine hears and speaks
one format, that of what goes; what comes is converted to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import AudioFormat, Encoding, Pcm
from callengine.audio.g711 import ALAW, MULAW
from callengine.audio.resample import Resampler

Codec: TypeAlias = Literal["PCMU", "PCMA", "L16"]
ByteOrder: TypeAlias = Literal["big", "little"]
Converter: TypeAlias = Callable[[bytes], bytes]

FORMATS: dict[Codec, AudioFormat] = {
    "PCMU": AudioFormat("mulaw", 8000),
    "PCMA": AudioFormat("alaw", 8000),
    "L16": AudioFormat("l16", 16000),
}
"""The codecs that can be asked for; 16 kHz is the only rate that is listed for L16."""

_ENCODINGS: dict[str, Encoding] = {"PCMU": "mulaw", "PCMA": "alaw", "L16": "l16"}
_LINEAR_RATES = frozenset({8000, 16000, 24000, 48000})
_ALAW_TO_MULAW = MULAW.encode(ALAW.decode_table)
_MULAW_TO_ALAW = ALAW.encode(MULAW.decode_table)


def announced_format(encoding: str, rate: int, channels: int) -> AudioFormat | None:
    """What a start message announces, where it can be used."""
    known = _ENCODINGS.get(encoding)
    rates = _LINEAR_RATES if known == "l16" else {8000}
    return AudioFormat(known, rate) if known is not None and rate in rates and channels == 1 else None


def swap(audio: bytes) -> bytes:
    """16-bit samples in the other byte order; half a sample at the end is dropped."""
    return np.frombuffer(audio, "<i2", count=len(audio) // 2).byteswap().tobytes()


def converter(source: AudioFormat, target: AudioFormat, byte_order: ByteOrder) -> Converter | None:
    """From what comes, with L16 in this byte order, to what the engine hears; None where they are the same.

    A converter between rates has a memory: one a stream.
    """
    swapped = source.encoding == "l16" and byte_order == "big"
    if source == target:
        return swap if swapped else None
    if source.encoding != "l16" and target.encoding != "l16":
        table = _ALAW_TO_MULAW if source.encoding == "alaw" else _MULAW_TO_ALAW
        return lambda audio: audio.translate(table)
    resampler = Resampler(source.sample_rate, target.sample_rate)

    def convert(audio: bytes) -> bytes:
        return from_pcm(resampler.push(_samples(audio, source, swapped)), target.encoding)

    return convert


def _samples(audio: bytes, source: AudioFormat, swapped: bool) -> Pcm:
    if source.encoding == "l16":
        audio = swap(audio) if swapped else audio[: len(audio) // 2 * 2]
    return to_pcm(audio, source.encoding)
