"""What every noise suppressor promises. A new recipe goes into `RECIPES`, with the rates that it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callengine.audio import Pcm, Resampler, read_wav, rms_dbfs
from callengine.call.denoising import Denoising
from callengine.journal import Journal, JournalSettings
from callengine.ports import Denoiser, DenoiserSession
from callengine.providers.denoise import WebRtcDenoiser

CALLERS = Path(__file__).parents[1] / "data" / "callers"

RECIPES: dict[str, tuple[Denoiser, tuple[int, ...]]] = {
    "webrtc": (WebRtcDenoiser(), (8000, 16000)),
    "webrtc very high": (WebRtcDenoiser("very high"), (8000, 16000)),
}

EVERY = pytest.mark.parametrize(
    ("recipe", "rate"),
    [pytest.param(recipe, rate, id=f"{name} {rate}") for name, (recipe, rates) in RECIPES.items() for rate in rates],
)


def frames(pcm: Pcm, rate: int) -> list[Pcm]:
    size = rate // 50
    return list(pcm[: len(pcm) // size * size].reshape(-1, size))


def voice(rate: int, name: str = "am_michael_14_long") -> Pcm:
    pcm = read_wav(CALLERS / f"{name}.wav")[0]
    pcm = pcm if rate == 8000 else Resampler(8000, rate).push(pcm)
    return np.concatenate(frames(pcm, rate))


def noise(rate: int, seconds: float, dbfs: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 32768 * 10 ** (dbfs / 20)


def run(session: DenoiserSession, pcm: Pcm, rate: int) -> Pcm:
    return np.concatenate([session.process(frame) for frame in frames(pcm, rate)])


def extreme(rate: int) -> dict[str, Pcm]:
    """A second each of what no line should send."""
    time = np.arange(rate) / rate
    return {
        "full scale": np.full(rate, 32767, np.int16),
        "negative full scale": np.full(rate, -32768, np.int16),
        "square wave": np.where(np.sin(2 * np.pi * 440 * time) > 0, 32767, -32768).astype(np.int16),
        "every sample the other way": np.tile(np.array([32767, -32768], np.int16), rate // 2),
        "one click": np.where(np.arange(rate) == rate // 2, 32767, 0).astype(np.int16),
        "plus and minus one": np.random.default_rng(2).integers(-1, 2, rate).astype(np.int16),
        "noise at full scale": np.random.default_rng(3).integers(-32768, 32768, rate).astype(np.int16),
    }


@EVERY
def test_every_frame_comes_back_at_its_length_and_the_given_one_is_not_touched(recipe: Denoiser, rate: int) -> None:
    session = recipe.open(rate)
    for frame in frames(voice(rate), rate):
        before = frame.copy()
        cleaned = session.process(frame)
        assert (cleaned.shape, cleaned.dtype) == (frame.shape, np.int16)
        assert (frame == before).all()


@EVERY
def test_frames_that_cannot_be_written_to_are_taken(recipe: Denoiser, rate: int) -> None:
    """As they come from the wire: views of immutable bytes."""
    frame = np.frombuffer(bytes(rate // 50 * 2), np.int16)
    assert len(recipe.open(rate).process(frame)) == len(frame)


@EVERY
def test_silence_stays_silent(recipe: Denoiser, rate: int) -> None:
    assert not run(recipe.open(rate), np.zeros(rate, np.int16), rate).any()


@EVERY
def test_behind_speech_it_is_silent_again_within_a_tenth_of_a_second(recipe: Denoiser, rate: int) -> None:
    spoken = voice(rate)
    heard = run(recipe.open(rate), np.concatenate([spoken, np.zeros(rate, np.int16)]), rate)
    assert not heard[len(spoken) + rate // 10 :].any()


@EVERY
def test_extreme_values_come_back_as_frames_and_spoil_nothing_that_follows(recipe: Denoiser, rate: int) -> None:
    for name, pcm in extreme(rate).items():
        session = recipe.open(rate)
        heard = run(session, pcm, rate)
        assert len(heard) == len(pcm), name
        assert rms_dbfs(heard) <= rms_dbfs(pcm) + 1, name
        run(session, np.zeros(2 * rate, np.int16), rate)
        spoken = voice(rate)
        assert rms_dbfs(run(session, spoken, rate)) == pytest.approx(rms_dbfs(spoken), abs=3), name


@EVERY
def test_sessions_share_nothing(recipe: Denoiser, rate: int) -> None:
    """Given two calls at once, when one of them is loud, then the other hears what it would have heard alone."""
    spoken = voice(rate)
    alone = run(recipe.open(rate), spoken, rate)
    session, other = recipe.open(rate), recipe.open(rate)
    loud = noise(rate, len(spoken) / rate, -12).clip(-32768, 32767).astype(np.int16)
    beside = []
    for frame, theirs in zip(frames(spoken, rate), frames(loud, rate), strict=True):
        other.process(theirs)
        beside.append(session.process(frame))
    assert (np.concatenate(beside) == alone).all()


@EVERY
def test_a_frame_that_was_returned_is_the_caller_s_to_keep(recipe: Denoiser, rate: int) -> None:
    """No buffer that the next frame overwrites."""
    session = recipe.open(rate)
    kept = [session.process(frame) for frame in frames(voice(rate), rate)]
    again = run(recipe.open(rate), voice(rate), rate)
    assert (np.concatenate(kept) == again).all()


@EVERY
def test_it_is_late_by_one_frame_at_most(recipe: Denoiser, rate: int) -> None:
    assert 0 <= lateness(recipe, rate) <= 0.02


def lateness(recipe: Denoiser, rate: int) -> float:
    """Seconds, where what comes out is most like what went in."""
    spoken = voice(rate)[: 2 * rate].astype(np.float64)
    heard = run(recipe.open(rate), spoken.astype(np.int16), rate).astype(np.float64)
    alike = [np.dot(spoken[: len(spoken) - lag], heard[lag:]) for lag in range(rate // 25)]
    return int(np.argmax(alike)) / rate


@EVERY
def test_noise_becomes_more_quiet_and_a_voice_does_not(recipe: Denoiser, rate: int) -> None:
    seconds = 3.0
    spoken = voice(rate)
    hiss = noise(rate, seconds + len(spoken) / rate, -40)
    line = np.rint(hiss + np.concatenate([np.zeros(round(seconds * rate)), spoken])).clip(-32768, 32767)
    heard = run(recipe.open(rate), line.astype(np.int16), rate)
    settled, voiced = slice(2 * rate, 3 * rate), slice(3 * rate, None)
    assert rms_dbfs(line[settled].astype(np.int16)) - rms_dbfs(heard[settled]) > 5
    assert rms_dbfs(heard[voiced]) == pytest.approx(rms_dbfs(spoken), abs=2)


@EVERY
async def test_a_call_takes_it(recipe: Denoiser, rate: int) -> None:
    denoising = Denoising(recipe, rate, Journal("c1", JournalSettings()))
    for frame in frames(voice(rate), rate):
        denoising.clean(frame)
    assert denoising.on
