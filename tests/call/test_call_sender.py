"""The sender through whole calls: slices, marks, and a carrier that always has just enough to play."""

from __future__ import annotations

import logging
from statistics import mean
from typing import Literal

import pytest
import trio
from lab_calls import CLOUD
from sending import COUNTING, SLOT, Buffer, all_sent, schedule, slices, started, times, wire

from callengine.call.settings import CallSettings, SenderSettings
from callengine.errors import ConfigurationError
from callengine.services.metronome import Metronome
from callengine.testing import CallLab, CarrierSettings


def saying(*texts: str, every: float | None = None):
    """A story that says these, one after the other, or one every so many seconds; then it waits for the caller."""

    async def story(call):
        start = trio.current_time()
        for number, text in enumerate(texts):
            if every is not None:
                await trio.sleep_until(start + number * every)
            story.heard.append(await call.say(text))
            story.returned.append(trio.current_time())
        await call.listen()

    story.heard = []
    story.returned = []
    return story


def with_sender(**sender) -> CallSettings:
    return CallSettings(sender=SenderSettings(**sender))


# --- the first fill, and the slices after it ------------------------------------------------------------------------


async def test_the_first_fill_is_three_slices_at_once_then_one_each_100_ms(call_lab):
    call_lab.tts.chunk = 1.0
    async with call_lab.dial(saying(COUNTING)) as caller:
        await caller.hears("seventeen")
    sent = slices(call_lab)
    assert [row.samples for row in sent[:6]] == [320, 320, 320, 800, 800, 800]
    assert times(sent)[:3] == [0, 0, 0]
    assert times(sent)[3:7] == pytest.approx([0.05, 0.15, 0.25, 0.35], abs=1e-6)
    assert [row.playout - sent[0].at for row in sent[:5]] == pytest.approx([0, 0.04, 0.08, 0.12, 0.22], abs=1e-5)


@CLOUD
async def test_each_slice_has_its_mark_behind_it(call_lab):
    async with call_lab.dial(saying("One two three four five.", "Six.")) as caller:
        await caller.hears("Six")
        await caller.waits(1)
    assert [row.mark for row in slices(call_lab)[:4]] == ["u1:1", "u1:2", "u1:3", "u1:4"]
    expected = [part for row in (*slices(call_lab, 1), *slices(call_lab, 2)) for part in ("media", f"mark {row.mark}")]
    assert wire(call_lab) == ["mark p1", *expected]


@pytest.mark.parametrize(
    "sender",
    [
        {},
        {"first_slices": 1},
        {"first_slices": 6},
        {"first_slice": 0.02},
        {"first_slice": 0.1, "first_slices": 1},
        {"slice": 0.2},
        {"slice": 0.06},
        {"lead": 0.3},
        {"lead": 0.06},
        {"lead": 1.0, "slice": 0.5, "first_slice": 0.3},
    ],
    ids=str,
)
async def test_every_setting_of_the_pace(call_lab, sender):
    call_lab.tts.chunk = 10.0
    settings = SenderSettings(**sender)
    async with call_lab.dial(saying(COUNTING), settings=CallSettings(sender=settings)) as caller:
        await caller.hears("seventeen")
        assert caller.leg.queue.gaps == 0
    sent = slices(call_lab)
    planned = schedule(settings, sum(row.samples for row in sent))
    assert [row.samples for row in sent] == [samples for _, samples in planned]
    late = [at - due for at, (due, _) in zip(times(sent), planned, strict=True)]
    assert min(late) >= -1e-6
    assert max(late) <= SLOT + 1e-6


def test_a_lead_that_cannot_be_held_is_refused():
    with pytest.raises(ConfigurationError, match=r"lead is 0\.1 s and slice 0\.2 s"):
        SenderSettings(slice=0.2, lead=0.1)


# --- the carrier's buffer -------------------------------------------------------------------------------------------


@CLOUD
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("marks", ["echo", "never", "late"])
async def test_the_lead_stays_where_it_should_be_at_any_delay(call_lab, delay, marks):
    call_lab.tts.chunk = 10.0
    story = saying(COUNTING)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay, marks=marks)) as caller:
        buffer = await Buffer().watch(caller, all_sent(call_lab))
        await caller.hears("seventeen")
        assert caller.leg.queue.gaps == 0
    assert min(buffer.seconds) >= 0.12 - 0.05 - SLOT - 1e-6
    assert max(buffer.seconds) <= 0.12 + 0.05 + 1e-6
    assert call_lab.call.outcome.counters.get("underruns", 0) == 0
    assert call_lab.call.outcome.turns[0].heard == COUNTING


@CLOUD
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
async def test_the_round_trip_is_measured(call_lab, delay):
    async with call_lab.dial(saying("One."), carrier=CarrierSettings(delay=delay)) as caller:
        await caller.waits(2)
        assert call_lab.call._line.sender._playout.round_trip == pytest.approx(2 * delay, abs=1e-9)


async def played(
    kind: str, *, marks: Literal["echo", "never", "late", "twice", "reversed", "foreign"] = "echo", stall: float = 0.0
) -> tuple[list[tuple[float, bytes]], CallLab]:
    """What the caller heard of two utterances, and when; echoes may be held back for a while on their way."""
    lab = CallLab(carrier=kind)
    carrier = CarrierSettings(delay=0.1, marks=marks)
    async with lab.dial(saying(COUNTING, "Eighteen, nineteen, twenty.", every=10.0), carrier=carrier) as caller:
        await started(lab)
        await caller.waits(1.0)
        caller.leg._link.stall(stall, to_carrier=False)
        await caller.waits(14)
        zero = lab.call.started_at
        rows = [(round(s.start - zero, 6), s.audio) for s in caller.leg.queue.played(trio.current_time())]
    lab.assert_nothing_left()
    return rows, lab


@CLOUD
@pytest.mark.trio
@pytest.mark.parametrize("marks", ["never", "late", "twice", "reversed", "foreign"])
async def test_echoes_that_misbehave_change_nothing_audible(call_lab, marks):
    usual, _ = await played(call_lab.carrier)
    assert (await played(call_lab.carrier, marks=marks))[0] == usual


@CLOUD
@pytest.mark.parametrize("held_back", [0.3, 0.95, 2.5])
async def test_a_batch_of_echoes_releases_no_burst(call_lab, held_back):
    usual, _ = await played(call_lab.carrier)
    batch, lab = await played(call_lab.carrier, stall=held_back)
    assert b"".join(audio for _, audio in batch) == b"".join(audio for _, audio in usual)
    batches = [r.t for r in lab.call.journal.of("mark.echoed")]
    assert max(batches.count(at) for at in batches) >= int(held_back / 0.1)
    gaps = [after.at - before.at for before, after in zip(slices(lab)[3:], slices(lab)[4:], strict=False)]
    assert min(gaps[:-1]) >= 0.1 - 0.06 - SLOT  # never two together; the correction is at most half the lead
    ends = [start + len(audio) / 8000 for start, audio in batch]
    contiguous = [abs(start - end) < 1e-5 for (start, _), end in zip(batch[1:], ends, strict=False)]
    assert contiguous.count(False) == 1  # between the two utterances


@CLOUD
async def test_after_a_stall_of_the_network_the_buffer_is_bounded(call_lab):
    call_lab.tts.chunk = 10.0
    long = f"{COUNTING} {COUNTING.lower()}"
    story = saying(long)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.1)) as caller:

        async def watch(seconds: float) -> list[float]:
            until = trio.current_time() + seconds
            return (await Buffer().watch(caller, lambda: trio.current_time() >= until)).seconds

        await started(call_lab)
        await caller.waits(1.0)
        caller.leg._link.stall(0.4)
        await caller.waits(0.4)
        behind = await watch(0.5)
        await caller.waits(1.0)  # by now its last eight echoes say that the carrier is behind
        corrected = await watch(0.5)
        caller.leg._link.stall(0.25)
        again = await Buffer().watch(caller, all_sent(call_lab))
        await caller.hears("seventeen")
        await caller.hears("seventeen")
        assert caller.leg.queue.gaps == 1  # the second stall found enough in the buffer
    assert caller.heard == long
    assert max(behind) <= 0.4 + 0.17
    assert mean(behind) - mean(corrected) == pytest.approx(0.06, abs=0.01)
    assert max(again.seconds) <= 0.4 + 0.17
    assert [(heard.complete, heard.certainty) for heard in story.heard] == [(True, "marks")]


@CLOUD
async def test_the_end_of_an_utterance_waits_for_a_carrier_that_fell_behind(call_lab):
    """A stall of a second is longer than the grace, but the echoes say how late the carrier is."""
    call_lab.tts.chunk = 10.0
    story = saying(COUNTING)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.05)) as caller:
        await started(call_lab)
        await caller.waits(1.0)
        caller.leg._link.stall(1.0)
        said = await caller.hears("seventeen")
        await caller.waits(1.0)
    assert story.returned[0] == pytest.approx(said + 0.05, abs=0.001)
    assert story.heard[0].certainty == "marks"


# --- synthesisers, slow and fast ------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 0.2])
async def test_a_synthesiser_slower_than_speech_is_heard_to_the_end(call_lab, delay):
    call_lab.tts.speed = 0.5
    story = saying(COUNTING)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay)) as caller:
        await caller.hears("seventeen", timeout=60)
        await caller.waits(1)
        gaps = caller.leg.queue.gaps
    assert caller.heard == COUNTING
    assert story.heard[0].complete
    assert call_lab.call.outcome.counters["underruns"] == gaps > 50
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("limit", [2.0, 10.0])
async def test_a_synthesiser_faster_than_speech_waits(call_lab, limit):
    call_lab.tts.speed = 1000.0
    minute = " ".join([COUNTING] * 10)
    story = saying(minute)
    most = 0.0
    async with call_lab.dial(story, settings=with_sender(max_buffered=limit)) as caller:
        await started(call_lab)
        while (current := call_lab.call._line.sender.current) is not None:
            most = max(most, current.buffered)
            await trio.sleep(0.05)
        assert caller.leg.queue.gaps == 0
    assert limit - 0.2 <= most <= limit + call_lab.tts.chunk
    assert caller.heard == minute
    assert len(slices(call_lab)) > 600
    assert story.heard[0].complete


async def test_a_tiny_limit_cannot_lock_the_line(call_lab):
    call_lab.tts.chunk = 0.005
    async with call_lab.dial(saying("One two three."), settings=with_sender(max_buffered=0.001)) as caller:
        await caller.hears("three")


# --- the end of an utterance ----------------------------------------------------------------------------------------


@CLOUD
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
async def test_say_returns_when_the_last_mark_is_back(call_lab, delay):
    story = saying("One two three.")
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay)) as caller:
        await caller.waits(4)
        ends_at = caller.leg.queue.ends_at
    assert story.returned[0] == pytest.approx(ends_at + delay, abs=1e-9)
    assert story.heard[0].certainty == "marks"


@CLOUD
@pytest.mark.parametrize("grace", [0.1, 0.5, 1.5])
async def test_without_marks_say_returns_after_the_grace(call_lab, grace):
    story = saying("One two three.")
    carrier = CarrierSettings(delay=0.05, marks="never")
    async with call_lab.dial(story, carrier=carrier, settings=with_sender(mark_grace=grace)) as caller:
        await caller.waits(4)
        ends_by_the_clock = caller.leg.queue.ends_at - 0.05
    assert story.returned[0] == pytest.approx(ends_by_the_clock + grace, abs=1e-9)
    assert story.heard[0].certainty == "clock"
    assert story.heard[0].complete


# --- marks ----------------------------------------------------------------------------------------------------------


@CLOUD
async def test_marks_of_the_same_name_are_each_their_own(call_lab):
    marks = []

    async def story(call):
        async def mark():
            marks.append((await call.mark("here"), trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "One two three.")
            await trio.sleep(0.5)
            nursery.start_soon(mark)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, COUNTING)
            await trio.sleep(1.2)
            nursery.start_soon(mark)
            await trio.sleep(0.5)
            call.clear()
        marks.append((await call.mark("here"), trio.current_time()))

    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.1)) as caller:
        await caller.hears("three.")
        spoken = trio.current_time()
        await caller.is_hung_up_on()
    assert [status for status, _ in marks] == ["played", "cleared", "played"]
    assert marks[0][1] == pytest.approx(spoken + 0.1, abs=0.021)
    cleared = call_lab.call.journal.of("clear.sent")[0]
    assert marks[1][1] == pytest.approx(cleared.t + call_lab.call.started_at)
    assert marks[2][1] == pytest.approx(marks[1][1] + 0.2)
    call_lab.assert_nothing_left()


@CLOUD
async def test_an_echo_after_our_clear_proves_nothing(call_lab):
    async def story(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, COUNTING)
            await trio.sleep(1)
            call.clear()
        await call.listen()

    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.1)) as caller:
        await caller.waits(3)
    journal = call_lab.call.journal
    clear = journal.of("clear.sent")[0]
    after = [r.data for r in journal.of("mark.echoed") if r.t > clear.t]
    ours = [data for data in after if data["mark"].startswith("u1:")]
    assert ours
    assert {data["status"] for data in ours} == {"cleared"}
    assert after[-1] == {"mark": "p2", "status": "played"}


@CLOUD
async def test_a_late_echo_of_an_old_utterance_confirms_nothing_in_the_next(call_lab):
    heard = []

    async def story(call):
        await call.say("One two three four five six.")
        async with trio.open_nursery() as nursery:

            async def say():
                heard.append(await call.say("Seven eight nine ten eleven twelve."))

            nursery.start_soon(say)
            await trio.sleep(0.5)
            call.clear()
        await call.listen()

    async with call_lab.dial(story, carrier=CarrierSettings(marks="never")) as caller:
        await started(call_lab, 2)
        for name in ("u1:1", "u1:12", "u2:99", "m1:here", "", "seven"):
            caller.leg.send_raw(caller.leg.side.mark(name))
        await caller.waits(2)
    assert [row.certainty for row in heard] == ["clock"]
    assert heard[0].heard == "Seven"
    statuses = {r.data["mark"]: r.data["status"] for r in call_lab.call.journal.of("mark.echoed")}
    assert set(statuses.values()) == {"unknown"}


async def test_an_application_mark_of_the_last_utterance_says_nothing_about_this_one(call_lab):
    """Its echo comes while the next utterance is on the line: that one is not heard by marks because of it."""
    results = []

    async def story(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "One two three four five six seven eight nine.")
            await trio.sleep(0.5)
            nursery.start_soon(call.mark, "in the first")
            await trio.sleep(0.2)
            call.clear()
            results.append(await call.say("Ten."))
        await call.listen()

    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.3)) as caller:
        await caller.hears("Ten.")
        await caller.waits(2)
    assert results[0].complete
    assert results[0].certainty == "marks"
    statuses = [r.data["status"] for r in call_lab.call.journal.of("mark.echoed") if "in the first" in r.data["mark"]]
    assert statuses == []  # it had not been sent: the program was told at once that it was cleared
    assert [r.data["status"] for r in call_lab.call.journal.of("mark")] == ["cleared"]


# --- idle calls, and faults -----------------------------------------------------------------------------------------


async def test_a_silent_agent_asks_the_metronome_for_nothing(call_lab, monkeypatch):
    asked = []
    send_at = Metronome.send_at

    def counting(self, when, run):
        asked.append(when)
        send_at(self, when, run)

    monkeypatch.setattr(Metronome, "send_at", counting)
    async with call_lab.dial(saying(COUNTING)) as caller:
        await caller.hears("seventeen")
        await caller.waits(2)
        while_speaking = len(asked)
        await caller.waits(60)
    assert len(asked) == while_speaking
    assert while_speaking <= len(slices(call_lab))  # one tick a slice, however often the synthesiser writes


async def test_a_fault_in_one_call_s_pump_ends_that_call_only(call_lab, caplog):
    def broken(starts, audio):
        raise ValueError("a bug")

    caplog.set_level(logging.CRITICAL)
    async with call_lab.engine(saying(COUNTING)) as engine, call_lab.dial(engine) as one:
        async with call_lab.dial(engine) as other:
            await one.hears("two")
            call_lab.calls[0]._line.sender.on_sent = broken
            await one.is_hung_up_on(timeout=1)
            await other.hears("seventeen")
            await other.hangs_up()
    outcomes = {outcome.call_id: outcome for outcome in call_lab.outcomes}
    failed, fine = (outcomes[call.id] for call in call_lab.calls)
    assert (failed.ended_by, failed.reason) == ("failed", "sender: ValueError: a bug")
    assert fine.ended_by == "caller"
    assert fine.turns[0].complete
    call_lab.assert_nothing_left()
