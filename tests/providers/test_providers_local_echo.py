from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from callengine.audio import Pcm, Resampler, read_wav, rms_dbfs
from callengine.errors import AudioError, MissingExtra
from callengine.ports import EchoSession
from callengine.providers.echo.webrtc import WebRtcEchoCanceller
from callengine.providers.local.dictation import decode
from callengine.providers.local.models import LocalModels

pytestmark = pytest.mark.models

CALLERS = Path(__file__).parents[1] / "data" / "callers"
DELAY = 0.18
ECHO = 10 ** (-18 / 20)


def speech(rate: int, *names: str) -> Pcm:
    pcm = np.concatenate([read_wav(CALLERS / f"{name}.wav")[0] for name in names])
    resampled = Resampler(8000, rate).push(pcm)
    return resampled[: len(resampled) // (rate // 50) * (rate // 50)]


def echo_of(far: Pcm, rate: int) -> Pcm:
    """The agent's voice as a speakerphone returns it, on a line with noise at -65 dBFS."""
    late = np.concatenate([np.zeros(int(DELAY * rate)), far])[: len(far)] * ECHO
    noise = np.random.default_rng(3).standard_normal(len(far)) * 32768 * 10 ** (-65 / 20)
    return np.rint(late + noise).astype(np.int16)


def run(session: EchoSession, near: Pcm, far: Pcm, rate: int) -> Pcm:
    """20 ms at a time."""
    size = rate // 50
    frames = [session.process(near[at : at + size], far[at : at + size]) for at in range(0, len(near), size)]
    assert all(len(frame) == size and frame.dtype == np.int16 for frame in frames)
    return np.concatenate(frames)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_agents_echo_is_removed_and_the_callers_words_are_not(loaded_models: LocalModels, rate: int) -> None:
    session = WebRtcEchoCanceller().open(rate)
    far = speech(rate, "af_nova_14_long", "af_nova_15_long")
    near = echo_of(far, rate)

    cleaned = run(session, near, far, rate)

    settled = slice(3 * rate, None)
    assert rms_dbfs(near[settled]) - rms_dbfs(cleaned[settled]) > 15

    caller = speech(rate, "am_michael_05_cancel")
    heard = run(session, caller, np.zeros_like(caller), rate)
    assert rms_dbfs(heard) == pytest.approx(rms_dbfs(caller), abs=2)
    assert words(loaded_models, heard, rate).endswith("I have to cancel my table for tonight.")


def test_a_caller_who_talks_over_the_agent_is_understood(loaded_models: LocalModels) -> None:
    session = WebRtcEchoCanceller().open(8000)
    far = speech(8000, "af_nova_14_long", "af_nova_15_long")
    run(session, echo_of(far, 8000), far, 8000)
    caller = speech(8000, "am_michael_05_cancel")
    agent = far[: len(caller)]

    heard = run(session, caller + echo_of(agent, 8000), agent, 8000)

    assert rms_dbfs(heard) == pytest.approx(rms_dbfs(caller), abs=4)
    assert "cancel my table" in words(loaded_models, heard, 8000)


def words(models: LocalModels, pcm: Pcm, rate: int) -> str:
    return decode(models.stt.model, [pcm], rate, threading.Event()).rest


def test_frames_of_different_length_are_refused() -> None:
    session = WebRtcEchoCanceller().open(8000)
    with pytest.raises(AudioError, match="160 samples with a reference of 80"):
        session.process(np.zeros(160, np.int16), np.zeros(80, np.int16))
    with pytest.raises(AudioError, match="multiple of 80"):
        session.process(np.zeros(100, np.int16), np.zeros(100, np.int16))


def test_other_rates_are_refused() -> None:
    with pytest.raises(AudioError, match="11025 Hz: use 8000 or 16000"):
        WebRtcEchoCanceller().open(11025)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(MissingExtra, match=r"pywebrtc-audio.*callengine\[local\]"):
        WebRtcEchoCanceller().open(8000)
