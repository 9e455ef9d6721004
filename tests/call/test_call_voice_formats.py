"""A synthesiser's audio, in any format and cut anywhere, is what the caller hears."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import numpy as np
import pytest
import trio

from callengine import Agent
from callengine.audio.convert import ToCarrier, from_pcm, to_pcm
from callengine.audio.format import TELEPHONE, AudioFormat
from callengine.ports import SpeechChunk

PITCHES = {"Low.": 440.0, "High.": 1000.0}
"""What a sentence sounds like, in Hz."""
SECONDS = 1.2


@attrs.frozen
class ToneVoice:
    """Each sentence is a tone, in chunks of so many bytes; the last byte of a sentence may be half a sample."""

    audio_format: AudioFormat
    chunk: int
    loose_end: bytes = b""
    name: str = "tones"

    @asynccontextmanager
    async def open(self, context):
        del context
        yield self

    def audio(self, text: str) -> bytes:
        rate = self.audio_format.sample_rate
        time = np.arange(round(SECONDS * rate)) / rate
        tone = (8000 * np.sin(2 * np.pi * PITCHES[text] * time)).astype(np.int16)
        return from_pcm(tone, self.audio_format.encoding)

    @asynccontextmanager
    async def synthesise(self, text):
        async def chunks():
            audio = self.audio(text) + self.loose_end
            for start in range(0, len(audio), self.chunk):
                await trio.sleep(0.01)
                yield SpeechChunk(audio[start : start + self.chunk])

        yield chunks()


async def heard(call_lab, voice: ToneVoice, *sentences: str) -> bytes:
    agent = Agent(greeting=" ".join(sentences), prompt="x", tts=voice)
    async with call_lab.dial(agent) as caller:
        await caller.waits(1 + 2 * SECONDS)
        assert caller.leg.queue.gaps == 0
        audio = caller.leg.queue.played_audio(trio.current_time())
    assert call_lab.call.outcome.turns[0].complete
    call_lab.assert_nothing_left()
    return audio


def pitch(pcm: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(spectrum.argmax() * 8000 / len(pcm))


FORMATS = [
    AudioFormat("l16", 24000),
    AudioFormat("l16", 22050),
    AudioFormat("l16", 16000),
    AudioFormat("l16", 48000),
    AudioFormat("l16", 8000),
    AudioFormat("f32", 24000),
    AudioFormat("alaw", 8000),
    AudioFormat("mulaw", 16000),
    AudioFormat("mulaw", 8000),
]


@pytest.mark.parametrize("audio_format", FORMATS, ids=lambda f: f"{f.encoding} {f.sample_rate}")
@pytest.mark.parametrize("chunk", [4096, 1111, 10**6], ids=["even", "odd", "whole"])
async def test_both_sentences_have_their_pitch_and_their_length(call_lab, audio_format, chunk):
    voice = ToneVoice(audio_format, chunk)
    audio = await heard(call_lab, voice, "Low.", "High.")
    reference = b""
    for sentence in ("Low.", "High."):
        converter = ToCarrier(audio_format, TELEPHONE)
        reference += converter.push(voice.audio(sentence)) + converter.flush()
    rest = audio.removeprefix(reference)
    assert rest == b"" or call_lab.carrier == "telnyx"
    assert rest == b"\xff" * (len(rest) % 160)  # Telnyx takes no less than 20 ms
    pcm = to_pcm(reference, "mulaw").astype(float)
    assert len(pcm) == pytest.approx(2 * SECONDS * 8000, abs=2)
    half = len(pcm) // 2
    assert pitch(pcm[:half]) == pytest.approx(440, abs=2)
    assert pitch(pcm[half:]) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("audio_format", [AudioFormat("l16", 24000), AudioFormat("f32", 16000)], ids=str)
async def test_half_a_sample_at_the_end_of_a_sentence_does_not_put_the_next_out_of_step(call_lab, audio_format):
    clean = await heard(call_lab, ToneVoice(audio_format, 1111), "Low.", "High.")
    assert await heard(call_lab, ToneVoice(audio_format, 1111, b"\x7f"), "Low.", "High.") == clean
