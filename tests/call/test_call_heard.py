"""What the engine says was heard, held against what the simulated caller did hear."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lab_calls import CLOUD

from callengine.testing import CallLab, CarrierSettings
from callengine.testing.virtual import run_virtual
from callengine.turns.heard import Heard

FIRST_AUDIO = 0.1
"""Seconds: the scripted voice's."""


@pytest.fixture(scope="session")
def kind(pytestconfig):
    """The run's carrier."""
    return pytestconfig.getoption("carrier")


@attrs.frozen
class Case:
    """An utterance that is cut. Times in seconds; ``cut`` is after its first audio, ``stalls`` are (when, how long)."""

    sentences: tuple[str, ...]
    cut: float
    delay: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    marks: str = "echo"
    speed: float = 10.0
    word_times: bool = False


@attrs.frozen
class Truth:
    """What the engine says, and what the caller heard."""

    said: Heard
    words: list[tuple[str, float]]
    """Each word that was heard to its end, and when that was, after the first audio left."""


def text_of(case: Case) -> str:
    return " ".join(case.sentences)


async def happen(case: Case, kind: str) -> Truth:
    lab = CallLab(carrier=kind)
    lab.tts.speed = case.speed
    lab.tts.word_times = case.word_times
    results: list[Any] = []

    async def story(call):
        async def say():
            results.append(await call.say(text_of(case)))

        await trio.sleep(1.0)  # by then the round trip is known
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await trio.sleep(FIRST_AUDIO + case.cut)
            call.clear()
        await call.listen()

    async with lab.dial(story, carrier=CarrierSettings(delay=case.delay, marks=case.marks)) as caller:
        begins = lab.call.started_at + 1.0 + FIRST_AUDIO
        for at, seconds in sorted(case.stalls):
            await trio.sleep_until(begins + at)
            caller.leg._link.stall(seconds)
        await trio.sleep_until(begins + case.cut + 2 * case.delay + 1)
        words = [(word.text, word.at - begins) for word in caller.words]
    lab.assert_nothing_left()
    return Truth(results[0], words)


def check(case: Case, kind: str) -> None:
    truth = run_virtual(happen, case, kind)
    said = truth.said
    count = len(said.heard.split())
    assert said.said == text_of(case)
    assert said.said.startswith(said.heard)
    assert f"{said.heard} {said.unheard}".strip() == said.said
    assert said.heard.split() == [word for word, _ in truth.words][:count]  # never more than was played
    late = max((seconds for _, seconds in case.stalls), default=0.0)
    if case.marks == "late":
        late += CarrierSettings().mark_delay  # to the engine, a very long round trip
    certain = case.cut + case.delay - (2 * case.delay + 0.1 + late)
    assert count >= sum(1 for _, at in truth.words if at <= certain) - 1
    if case.marks == "never":
        assert said.certainty == "clock"
        assert count == len(truth.words)  # on a steady network the clock is exact


# --- at moments that are easily wrong -------------------------------------------------------------------------------

TEXT = ("One two three four.", "Five six seven.")
LENGTH = (len(TEXT[0]) + 1 + len(TEXT[1]) + 1) * 0.06
"""Seconds: the lab's speech takes 60 ms a character and as much for the space after a word."""


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(
    "marks", ["echo", *(pytest.param(m, marks=CLOUD) for m in ("never", "late", "twice", "reversed", "foreign"))]
)
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(0.001, id="before the first echo"),
        pytest.param(0.06, id="in the first fill"),
        pytest.param(0.241, id="after the first word"),
        pytest.param(1.203, id="after the first sentence"),
        pytest.param(LENGTH - 0.04, id="when all was sent and not all played"),
        pytest.param(LENGTH, id="at its very end"),
        pytest.param(LENGTH + 0.01, id="a moment after it"),
    ],
)
def test_cut_at_a_moment_that_is_easily_wrong(kind, cut, marks, delay):
    check(Case(TEXT, cut, delay, marks=marks), kind)


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_what_was_played_to_its_end_is_complete(kind, delay):
    truth = run_virtual(happen, Case(TEXT, LENGTH + 2 * delay + 0.01, delay), kind)
    assert truth.said == Heard(said=" ".join(TEXT), heard=" ".join(TEXT), complete=True, certainty="marks")
    assert " ".join(word for word, _ in truth.words) == " ".join(TEXT)


@CLOUD
def test_what_was_cut_says_by_whom_and_how_sure_it_is(kind):
    truth = run_virtual(happen, Case(TEXT, 1.0, 0.05), kind)
    assert truth.said == Heard(
        said=" ".join(TEXT), heard="One two three", complete=False, cut_by="application", certainty="marks"
    )
    early = run_virtual(happen, Case(TEXT, 0.1, 0.05), kind)
    assert (early.said.heard, early.said.certainty) == ("", "clock")


def test_after_a_stall_the_words_that_the_carrier_had_not_got_are_not_counted(kind):
    """The carrier ran dry and plays 0.3 s late: the clock alone would count a word too many."""
    for cut in (0.55, 0.65, 0.75, 0.79, 0.9, 1.0, 1.1, 1.3, 1.5, 2.0):
        check(Case(TEXT, cut, 0.05, stalls=((0.4, 0.4),)), kind)


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_with_a_synthesiser_slower_than_speech(kind, delay):
    for cut in (0.3, 0.7, 1.15, 1.9, 2.6):
        check(Case(TEXT, cut, delay, speed=0.7, word_times=True), kind)


# --- at any moment --------------------------------------------------------------------------------------------------

words = st.text("abcdefghij", min_size=1, max_size=9)
sentences = st.lists(words, min_size=2, max_size=8).map(lambda row: " ".join(row).capitalize() + ".")


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Case,
        sentences=st.lists(sentences, min_size=1, max_size=4).map(tuple),
        cut=st.floats(0.0011, 6.0),
        delay=st.sampled_from([0.0, 0.02, 0.1, 0.3]) | st.floats(0, 0.4),
        stalls=st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 0.05)), max_size=5).map(tuple),
        marks=st.just("echo"),
        speed=st.sampled_from([2.0, 10.0, 1000.0]),
        word_times=st.booleans(),
    )
)
@example(Case(("Ab cd.",), 0.2, 0.3))
def test_by_marks(kind, case):
    check(case, kind)


@CLOUD
@hypothesis_settings(max_examples=30, deadline=None)
@given(
    st.builds(
        Case,
        sentences=st.lists(sentences, min_size=1, max_size=4).map(tuple),
        cut=st.floats(0.0011, 6.0),
        delay=st.sampled_from([0.0, 0.1, 0.3]),
        marks=st.just("never"),
        speed=st.just(1000.0),
        word_times=st.booleans(),
    )
)
def test_by_the_clock(kind, case):
    check(case, kind)


async def test_a_sentence_that_was_played_is_heard_while_the_next_is_still_being_written(call_lab):
    async def writing():
        yield "One two three four. Five"
        await trio.sleep(10)
        yield " six."

    results = []

    async def story(call):
        async def say():
            results.append(await call.say(writing()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await trio.sleep(3)
            call.clear()

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
        assert caller.heard == "One two three four."
    assert results[0].heard == "One two three four."
    call_lab.assert_nothing_left()
