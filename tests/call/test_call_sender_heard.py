"""What was heard, and what plays again after a pause, in thousands of random utterances beneath the sender."""

from __future__ import annotations

import random

import attrs
import numpy as np
import pytest
import trio
from simulated_line import Line, LineSettings

from callengine.audio import AudioFormat, ToCarrier
from callengine.call.settings import SenderSettings
from callengine.call.utterance import FADE_IN
from callengine.ports import WordTime
from callengine.services.metronome import Metronome
from callengine.testing.virtual import run_virtual

pytestmark = pytest.mark.carrier("twilio")  # it needs none: once is enough

RATE = 8000
CHARACTER = 533
"""Samples that a character takes, and the space after a word: the pace that is assumed while audio is arriving."""
SETTINGS = SenderSettings()
ROUNDING = 2
"""Samples."""


@attrs.frozen
class Word:
    text: str
    start: int
    end: int


@attrs.frozen
class Step:
    """What is asked of the sender, so long after the utterance began."""

    at: float
    what: str


@attrs.frozen
class Plan:
    """One utterance and everything that happens to it."""

    seed: int
    line: LineSettings
    sentences: tuple[str, ...]
    word_times: bool
    gaps: bool
    """Whether there is a short silence after each word."""
    speed: float
    chunk: int
    """Bytes of 16-bit audio."""
    steps: tuple[Step, ...]

    @property
    def words(self) -> list[Word]:
        words, at = [], 0
        for sentence in self.sentences:
            for text in sentence.split():
                words.append(Word(text, at, at + (len(text) + 1) * CHARACTER))
                at = words[-1].end
        return words

    @property
    def slowest(self) -> float:
        """Seconds: the round trip at its slowest."""
        return 2 * (self.line.delay + self.line.jitter)


def plan(seed: int, *, marks: bool = True, echo_on_clear: bool = True, longest: float = 0.3) -> Plan:
    rng = random.Random(seed)
    sentences = tuple(
        " ".join("x" * rng.randint(1, 9) for _ in range(rng.randint(1, 5))) for _ in range(rng.randint(1, 2))
    )
    length = sum((len(sentence) + 1) * CHARACTER for sentence in sentences) / RATE
    steps, at = [], 1.0
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        at += rng.uniform(0.0, length * 0.7)
        steps.append(Step(at, "pause"))
        at += rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(0.1, 1.0)))
        steps.append(Step(at, "resume"))
    if steps and rng.random() < 0.2:
        steps.pop()
    if len(steps) % 2 or rng.random() < 0.6:
        steps.append(Step(at + rng.uniform(0.0, length), "cut"))
    return Plan(
        seed=seed,
        line=LineSettings(
            delay=rng.choice((0.0, 0.02, rng.uniform(0, longest / 2))),
            jitter=rng.choice((0.0, rng.uniform(0, 0.06))),
            marks=marks,
            echo_on_clear=echo_on_clear,
        ),
        sentences=sentences,
        word_times=rng.random() < 0.5,
        gaps=rng.random() < 0.5,
        speed=rng.choice((0.8, 1.5, 5.0, 1000.0)),
        chunk=rng.choice((333, 1601, 6400, 100_001)),
        steps=tuple(steps),
    )


async def speak(case: Plan, utterance, sent: bytearray) -> None:
    """A synthesiser: noise, with the words' times or without."""
    noise = np.random.default_rng(case.seed)
    for sentence in case.sentences:
        utterance.spoken.plan(sentence)
    at = 0
    for sentence in case.sentences:
        utterance.spoken.begin_piece()
        pcm = noise.integers(-20000, 20000, (len(sentence) + 1) * CHARACTER).astype(np.int16)
        times, start = [], 0
        for text in sentence.split():
            end = start + (len(text) + 1) * CHARACTER
            if case.gaps:
                pcm[end - 240 : end] //= 100
            times.append(WordTime(text, start / RATE, end / RATE))
            start = end
        converter, audio = ToCarrier(AudioFormat("l16", RATE), case.line.audio_format), pcm.astype("<i2").tobytes()
        known = tuple(times) if case.word_times else ()
        for begin in range(0, len(audio), case.chunk):
            converted = converter.push(audio[begin : begin + case.chunk])
            sent += converted
            await utterance.write(converted, known if begin == 0 else ())
            await trio.sleep(case.chunk / 2 / RATE / case.speed)
        sent += converter.flush()
        utterance.spoken.end_piece()
        at += len(pcm)


async def happen(case: Plan, metronome: Metronome) -> None:
    line = Line(case.line, metronome, case.seed, SETTINGS)
    sender, begun, result, audio = line.sender, trio.current_time(), [], bytearray()
    sender.probe()

    async def say() -> None:
        await trio.sleep(1.0)
        async with sender.utterance(ended=lambda: False) as utterance:
            await speak(case, utterance, audio)
        result.append(utterance.result)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run)
        nursery.start_soon(say)
        for step in case.steps:
            await trio.sleep_until(begun + step.at + 1e-4)
            getattr(sender, step.what)(*["caller"] if step.what == "cut" else [])
        while not result:
            await trio.sleep(0.5)
        await trio.sleep(1.0)  # the last echoes
        nursery.cancel_scope.cancel()
    assert not line.faults
    assert sender.left_behind() == []
    check_heard(case, line, result[0])
    check_pauses(case, line)
    check_audio(case, line, bytes(audio))


def check_heard(case: Plan, line: Line, heard) -> None:
    said = " ".join(case.sentences) if heard.complete else heard.said
    words, count = case.words, len(heard.heard.split())
    assert said.startswith(heard.heard)
    assert f"{heard.heard} {heard.unheard}".strip() == said.strip()
    played = line.furthest(trio.current_time())
    if heard.cut_by is None:
        assert heard.complete
        assert heard.heard == " ".join(case.sentences)
        if any(step.what == "cut" for step in case.steps) and heard.certainty == "clock":
            # a cut after the last sample by the clock, and before its mark
            assert played >= words[-1].end - round(case.line.jitter * RATE) - ROUNDING
        else:
            assert played == words[-1].end
            assert heard.certainty == ("marks" if case.line.marks else "clock")
        return
    if not case.line.marks:
        assert heard.certainty == "clock"
    really = sum(1 for word in words if word.end <= played + ROUNDING)
    if heard.certainty == "marks":
        assert count <= really
    surely = played - round(case.slowest * RATE)
    assert count >= min(really - 1, sum(1 for word in words if word.end <= surely - ROUNDING))
    late = 0 if heard.certainty == "marks" else round(case.line.jitter * RATE) + ROUNDING
    assert count <= sum(1 for word in words if word.end <= played + late)


def check_pauses(case: Plan, line: Line) -> None:
    """What was taken to be heard, and what played again."""
    clears = {round(clear.sent - line.journal.started_at, 6): clear.furthest for clear in line.clears}
    heard = 0
    for record in line.journal.of("reply.paused", "reply.resumed"):
        if record.kind == "reply.paused":
            assert record.data["position"] >= heard  # never backwards
            heard, played = record.data["position"], clears.get(round(record.t, 6))
            if played is not None:
                late = round((case.line.jitter + case.slowest) * RATE) + ROUNDING
                assert played - late <= heard <= played + round(case.line.jitter * RATE) + ROUNDING
        else:
            again = record.data["position"]
            assert record.data["repeated_ms"] == pytest.approx((heard - again) / 8, abs=0.1)
            assert again <= heard
            if case.word_times:
                slack = round((SETTINGS.jitter + FADE_IN) * RATE) + ROUNDING
                assert sum(1 for word in case.words if again <= word.start and word.end <= heard - slack) == 0


def check_audio(case: Plan, line: Line, audio: bytes) -> None:
    """The right audio was sent for every position, but for the swelling after each pause."""
    swelling = sum(1 for step in case.steps if step.what == "resume") * round(FADE_IN * RATE)
    wrong = 0
    for position, sent in line.audio:
        original = audio[position : position + len(sent)]
        assert len(original) == len(sent)
        if sent != original:
            wrong += int(np.count_nonzero(np.frombuffer(sent, np.uint8) != np.frombuffer(original, np.uint8)))
    assert wrong <= swelling


async def happen_all(cases: list[Plan]) -> None:
    metronome = Metronome()
    failures: list[str] = []

    async def one(case: Plan) -> None:
        try:
            await happen(case, metronome)
        except* AssertionError as group:
            failures.append(f"{case}: {group.exceptions}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        async with trio.open_nursery() as calls:
            for case in cases:
                calls.start_soon(one, case)
        nursery.cancel_scope.cancel()
    assert not failures, "\n".join(failures[:5])


CASES = 700
"""Of each of three kinds."""


@pytest.mark.parametrize(
    ("marks", "echo_on_clear"),
    [(True, True), (True, False), (False, False)],
    ids=["echo on clear", "no echo on clear", "no marks"],
)
def test_whatever_happens_what_was_heard_is_right_and_nothing_is_skipped(marks, echo_on_clear):
    run_virtual(happen_all, [plan(seed, marks=marks, echo_on_clear=echo_on_clear) for seed in range(CASES)])
