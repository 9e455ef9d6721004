"""What is said on the line: recorded speech for the callers, and the agent's audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from callengine.audio.format import Pcm
from callengine.audio.g711 import MULAW
from callengine.ports import Vad
from callengine.services.silero import Silero
from callengine.testing.caller import recording
from callengine.turns.voice_activity import VadSettings, VoiceActivity, VoiceStarted, VoiceStopped

FRAME = 160
"""Bytes of 20 ms."""

DATA = Path(__file__).parents[2] / "tests" / "data"
CALLERS = (
    "callers/af_nova_34_cut.wav",
    "callers/am_michael_06_hours.wav",
    "callers/am_michael_05_cancel.wav",
    "callers/bf_emma_07_hours.wav",
    "callers/bm_george_11_price.wav",
    "callers/af_nova_13_person.wav",
    "speech/cards_002.wav",
    "speech/librivox_0880.wav",
)
"""Natural neural speech and human recordings of 1.7 to 3.2 s; their notices are beside them."""
AGENT = "speech/librivox_0870.wav"

_AUDIBLE = 300.0
"""RMS (16-bit scale, about -40 dBFS) of a frame that is speech, when the silence around a recording is cut off."""


def caller_clips(kind: str) -> list[list[bytes]]:
    """What callers say, as frames of mu-law; the first and the last frame of each are audible.

    Only recordings in which the VAD finds one utterance are taken, so that each is one turn.
    """
    if kind == "tone":
        return [[_tone()] * 8]
    clips = [trimmed(DATA / name) for name in CALLERS]
    model = Silero()
    usable = [clip for clip in clips if _is_one_utterance(model, clip)]
    if len(usable) < 4:
        raise RuntimeError(f"only {len(usable)} of {len(clips)} recordings are one utterance to the VAD")
    return usable


def agent_voice() -> bytes:
    """Some seconds of speech in mu-law for the agent to say, again and again."""
    return b"".join(trimmed(DATA / AGENT))


def trimmed(path: Path) -> list[bytes]:
    """A recording in frames, without the silence before and after the speech."""
    audio = recording(path)
    frames = [audio[at : at + FRAME] for at in range(0, len(audio) - FRAME + 1, FRAME)]
    loud = [index for index, frame in enumerate(frames) if _rms(MULAW.decode(frame)) > _AUDIBLE]
    return frames[loud[0] : loud[-1] + 1]


def _rms(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float32) ** 2)))


def _tone() -> bytes:
    return MULAW.encode((8000 * np.sin(np.arange(FRAME) * 2 * np.pi * 400 / 8000)).astype(np.int16))


def _is_one_utterance(model: Vad, clip: list[bytes]) -> bool:
    """In each of the eight places that a window's boundary may have in a call."""
    return all(_utterances(model, clip, offset) == 1 for offset in range(0, model.window, model.window // 8))


def _utterances(model: Vad, clip: list[bytes], offset: int) -> int:
    silence = MULAW.silence
    audio = silence * (8000 + offset) + b"".join(clip) + silence * 8000
    samples = MULAW.float_table[np.frombuffer(audio, np.uint8)]
    activity = VoiceActivity(VadSettings())
    state = np.zeros((1, model.state_size), np.float32)
    context = np.zeros((1, model.context), np.float32)
    started = stopped = 0
    for end in range(model.window, len(samples) + 1, model.window):
        window = samples[None, end - model.window : end]
        probability, state = model.step(window, context, state)
        context = window[:, -model.context :]
        fact = activity.feed(float(probability[0]), end)
        started += isinstance(fact, VoiceStarted)
        stopped += isinstance(fact, VoiceStopped)
    return started if started == stopped else 0


class ToneVad(Silero):
    """Silero for what it costs, energy for what it says: for tones too short for a model of speech to be sure of."""

    def step(
        self, audio: NDArray[np.float32], context: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `callengine.ports.Vad`."""
        _, state = super().step(audio, context, state)
        loud = np.sqrt(np.mean(audio * audio, axis=1)) > 0.05
        return loud.astype(np.float32), state
