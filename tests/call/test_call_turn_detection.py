"""The end-of-turn model in a call: when it is asked, what it is given, and whose verdicts count."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.format import TELEPHONE
from callengine.audio.ring import AudioRing
from callengine.audio.wav import read_wav
from callengine.call.turn_detection import TurnDetectionSettings, TurnWatch
from callengine.errors import ConfigurationError, ProviderError
from callengine.events import TurnVerdict
from callengine.journal import Journal, JournalSettings
from callengine.ports import SessionContext
from callengine.providers.turn_detection import SmartTurn
from callengine.testing.scripted import ScriptedTurnDetector

CALLERS = Path(__file__).parents[1] / "data" / "callers"
FRAME = 160


class Line:
    """A caller's line: frames of 20 ms go to the ring in time, and the VAD's word to the watch."""

    def __init__(self, detector, *, ring: float = 30.0, **settings) -> None:
        self.ring = AudioRing(TELEPHONE, ring)
        self.journal = Journal("c1", JournalSettings())
        self.told: list[TurnVerdict] = []
        self.watch = TurnWatch(
            detector,
            SessionContext("c1"),
            self.ring,
            self.journal,
            self.told.append,
            settings=TurnDetectionSettings(**settings),
        )

    async def hears(self, seconds: float, audio: np.ndarray | None = None) -> None:
        """So much audio, as it comes: noise, or what is given."""
        samples = round(seconds * 8000)
        if audio is None:
            audio = np.random.default_rng(samples).integers(-3000, 3000, samples).astype(np.int16)
        for at in range(0, samples, FRAME):
            await trio.sleep(0.02)
            self.ring.append(from_pcm(audio[at : at + FRAME], "mulaw"))
            self.watch.audio_arrived()

    async def silence(self, seconds: float) -> None:
        await self.hears(seconds, np.zeros(round(seconds * 8000), np.int16))

    async def pauses(self, utterance: int, *, turn_from: int = 0) -> None:
        """The VAD reports a pause when it has lasted for 0.16 s."""
        since = self.ring.end
        await self.silence(0.16)
        self.watch.paused(utterance, turn_from=turn_from, silent_since=since)


@asynccontextmanager
async def line(detector, **options):
    """A line whose watch is running."""
    made = Line(detector, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.watch.run)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@pytest.fixture
def detector() -> ScriptedTurnDetector:
    return ScriptedTurnDetector()


# --- asking -----------------------------------------------------------------------------------------------------------


async def test_a_pause_is_asked_about_once_it_has_lasted_long_enough(autojump_clock, detector):
    detector.says(0.83)
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.02)
        assert not detector.asked
        await caller.silence(0.5)
        # 1 s of speech, 0.2 s of silence, 0.05 s for the answer
        assert caller.told == [TurnVerdict(pytest.approx(1.25), 1, 0.83)]
        assert len(detector.asked) == 1


async def test_the_model_hears_the_whole_turn_and_the_silence(autojump_clock, detector):
    async with line(detector) as caller:
        await caller.silence(1.0)
        await caller.hears(0.7)
        await caller.silence(0.4)
        await caller.hears(0.5)
        await caller.pauses(2, turn_from=5600)  # the turn began with an utterance before this one, with its pre-roll
        await caller.silence(0.2)
        heard = caller.ring.read(5600, round(2.8 * 8000))
    assert np.array_equal(detector.asked[0], heard)


async def test_the_silence_that_is_wanted_is_a_setting(autojump_clock, detector):
    async with line(detector, silence=0.4) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.5)
        assert [verdict.at for verdict in caller.told] == [pytest.approx(1.45)]


async def test_a_pause_that_is_reported_late_is_asked_about_at_once(autojump_clock, detector):
    async with line(detector, silence=0.1) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await trio.sleep(0.06)
        assert [verdict.at for verdict in caller.told] == [pytest.approx(1.21)]


async def test_nothing_is_asked_while_the_line_gives_no_audio(autojump_clock, detector):
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await trio.sleep(2)
        assert not detector.asked
        await caller.silence(0.04)
        await trio.sleep(0.06)
        assert len(caller.told) == 1


async def test_pure_silence_is_never_asked_about(autojump_clock, detector):
    async with line(detector, ring=1.0) as caller:
        await caller.hears(0.5)
        await caller.silence(0.5)
        # a turn that begins where the silence does
        caller.watch.paused(1, turn_from=4000, silent_since=4000)
        await caller.silence(1.2)
        # speech that the ring has forgotten
        caller.watch.paused(1, turn_from=0, silent_since=4000)
        await caller.silence(0.5)
    assert not detector.asked


async def test_a_turn_longer_than_the_ring_is_heard_as_far_as_it_is_kept(autojump_clock, detector):
    async with line(detector, ring=2.0) as caller:
        await caller.hears(4.0)
        await caller.pauses(1)
        await caller.silence(0.2)
    assert len(detector.asked[0]) == 16_000
    assert caller.ring.dropped == 0


# --- staleness --------------------------------------------------------------------------------------------------------


async def test_a_caller_who_speaks_on_before_the_question_is_not_asked_about(autojump_clock, detector):
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        caller.watch.resumed()
        await caller.hears(1.0)
    assert not detector.asked
    assert not caller.told


async def test_a_caller_who_speaks_on_before_the_answer_makes_it_stale(autojump_clock, detector):
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.04)
        await trio.sleep(0.01)
        caller.watch.resumed()
        await trio.sleep(1)
        assert (len(detector.asked), detector.cancelled, caller.told) == (1, 1, [])
        assert caller.watch.given_up == 0


class Prompted:
    """A detector that answers when it is told to."""

    name = "prompted"

    def __init__(self) -> None:
        self.answer = trio.Event()

    @asynccontextmanager
    async def open(self, context):
        del context
        yield self

    async def finished(self, audio):
        del audio
        await self.answer.wait()
        return 0.9


async def test_an_answer_in_the_very_moment_in_which_the_caller_speaks_on_is_not_told(autojump_clock):
    detector = Prompted()
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.04)
        await trio.sleep(0.1)
        detector.answer.set()  # the answer is there, the watch has not run yet
        caller.watch.resumed()
        await trio.sleep(1)
    assert not caller.told


async def test_the_newest_of_two_pauses_counts(autojump_clock, detector):
    detector.delay = 0.45
    detector.says(0.1, 0.9)
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.04)
        await trio.sleep(0.01)
        await caller.pauses(2)  # without a word that the first is over
        await caller.silence(0.5)
        assert [(verdict.utterance, verdict.probability) for verdict in caller.told] == [(2, 0.9)]


async def test_every_pause_of_a_turn_is_asked_about(autojump_clock, detector):
    detector.says(0.2, 0.8)
    async with line(detector) as caller:
        for _ in range(2):
            await caller.hears(1.0)
            await caller.pauses(1)
            await caller.silence(0.2)
            caller.watch.resumed()
        assert [verdict.probability for verdict in caller.told] == [0.2, 0.8]
    assert caller.watch.asked == 2
    assert len(detector.asked[1]) == round(2.56 * 8000)


# --- slow and failing detectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "limit"), [({}, 0.5), ({"timeout": 0.2}, 0.2)])
async def test_an_answer_that_takes_too_long_is_given_up_and_the_next_pause_asked_about(
    autojump_clock, detector, options, limit
):
    detector.delay = 60.0
    async with line(detector, **options) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(1.0)
        assert (caller.watch.asked, caller.watch.given_up, caller.told) == (1, 1, [])
        note = caller.journal.of("decision")[0]
        assert (note.t, note.data["reason"]) == (pytest.approx(1.2 + limit), f"no verdict within {limit} s of a pause")

        detector.delay = 0.05
        caller.watch.resumed()
        await caller.hears(0.5)
        await caller.pauses(1)
        await caller.silence(0.2)
        assert len(caller.told) == 1


async def test_a_detector_that_fails_is_journaled_once_and_asked_no_more(autojump_clock, detector):
    detector.says(ProviderError("scripted turn detector", "out of order"))
    async with line(detector) as caller:
        for _ in range(3):
            await caller.hears(1.0)
            await caller.pauses(1)
            await caller.silence(0.3)
            caller.watch.resumed()
        assert (len(detector.asked), caller.told, detector.sessions) == (1, [], 0)
        failed = caller.journal.of("provider.failed")
        assert [record.data for record in failed] == [
            {
                "role": "turn_detection",
                "provider": "scripted turn detector",
                "message": "scripted turn detector: out of order",
            }
        ]


async def test_a_detector_that_cannot_be_opened_is_switched_off(autojump_clock, detector):
    detector.refuses()
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.3)
        assert [record.data["role"] for record in caller.journal.of("provider.failed")] == ["turn_detection"]
        assert (detector.asked, caller.told) == ([], [])


async def test_a_bug_in_a_detector_is_not_swallowed(autojump_clock):
    class Buggy(Prompted):
        async def finished(self, audio):
            del audio
            raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with line(Buggy()) as caller:
            await caller.hears(1.0)
            await caller.pauses(1)
            await caller.silence(0.1)


async def test_a_session_that_opens_late_is_asked_about_the_pause_that_goes_on(autojump_clock, detector):
    detector.open_delay = 3.0
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.1)
        caller.watch.resumed()
        await caller.hears(0.2)
        await caller.pauses(2)
        await caller.silence(2.0)
        assert [(verdict.at, verdict.utterance) for verdict in caller.told] == [(pytest.approx(3.05), 2)]


async def test_the_end_of_the_call_closes_the_session_with_a_question_on_its_way(autojump_clock, detector):
    async with line(detector) as caller:
        await caller.hears(1.0)
        await caller.pauses(1)
        await caller.silence(0.04)
        assert detector.sessions == 1
    assert (len(detector.asked), detector.sessions, detector.cancelled) == (1, 0, 1)


@pytest.mark.parametrize("bad", [{"silence": -0.1}, {"timeout": 0.0}])
def test_settings_that_cannot_work_are_refused(bad):
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        TurnDetectionSettings(**bad)


# --- with the real model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "finished"), [("am_michael_06_hours", True), ("bm_george_61_prefix", False)])
async def test_smart_turn_hears_in_a_call_whether_the_caller_has_finished(autojump_clock, name, finished):
    words, _ = read_wav(CALLERS / f"{name}.wav")
    async with line(await SmartTurn().load(inline=True)) as caller:
        await caller.silence(0.3)
        await caller.hears(len(words) / 8000, to_pcm(from_pcm(words, "mulaw"), "mulaw"))
        await caller.pauses(1)
        await caller.silence(0.2)
        assert [verdict.probability > 0.5 for verdict in caller.told] == [finished]
