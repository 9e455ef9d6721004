"""Soft interruption through whole calls: a reply that is ducked, or paused and goes on, without a word lost."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from lab_calls import CLOUD, echoes_cleared
from sending import COUNTING, clears, slices, wire

from callengine.audio import MULAW
from callengine.audio.clip import Clip
from callengine.audio.convert import to_pcm
from callengine.call.settings import CallSettings, SenderSettings
from callengine.call.utterance import FADE_IN, KEPT
from callengine.errors import ConfigurationError
from callengine.journal import JournalSettings
from callengine.records.recording import render_recording
from callengine.testing import CarrierSettings

FIRST_AUDIO = 0.1
"""Seconds: the scripted voice's."""
START = 1.0
"""Seconds after the call's start at which the story speaks: by then the round trip is known."""

MANNERS = [
    {},
    pytest.param({"echo_on_clear": False}, marks=CLOUD),
    pytest.param({"marks": "never"}, marks=CLOUD),
]
"""Of a carrier, in what it says of marks."""


def story_of(text: str, *steps: tuple[float, str]):
    """A story that says this, and at these times after its first audio asks its sender for something."""

    async def story(call):
        async def say():
            story.heard.append(await call.say(text))
            story.returned.append(trio.current_time() - begins)

        await trio.sleep_until(call.started_at + START)
        begins = call.started_at + START + FIRST_AUDIO
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            for at, what in steps:
                await trio.sleep_until(begins + at)
                getattr(call._line.sender, what)(*["caller"] if what == "cut" else [])
        await call.listen()

    story.heard = []
    story.returned = []
    return story


def with_sender(**sender) -> CallSettings:
    return CallSettings(sender=SenderSettings(**sender))


def begins(lab) -> float:
    return lab.call.started_at + START + FIRST_AUDIO


def repeated(words: list[str], text: str) -> int:
    """How many words the caller heard again, where he heard all of them and in order."""
    rest, again = text.split(), 0
    done = 0
    for word in words:
        if done < len(rest) and word == rest[done]:
            done += 1
        else:
            assert word in rest[:done], f"{word} out of order in {words}"
            again += 1
    assert done == len(rest), f"lost {rest[done:]} in {words}"
    return again


# --- pausing --------------------------------------------------------------------------------------------------------


@CLOUD
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("speed", [1.5, 10.0], ids=["while it is synthesised", "when it was synthesised"])
@pytest.mark.parametrize("after", [0.001, 0.03, 1.0, 1.517])
async def test_a_pause_silences_at_once_and_sends_nothing_until_it_is_over(call_lab, delay, speed, after):
    call_lab.tts.speed = speed
    story = story_of(COUNTING, (after, "pause"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay)) as caller:
        await trio.sleep_until(begins(call_lab) + 5)
        queue = caller.leg.queue
        assert queue.ends_at == pytest.approx(begins(call_lab) + after + delay, abs=1e-9)
        sender = call_lab.call._line.sender
        assert sender.audible_until == pytest.approx(begins(call_lab) + after)
        assert sender.current is not None
        assert story.heard == []
    messages = wire(call_lab)
    assert messages[messages.index("clear") :] == ["clear", "mark p2"]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("carrier", MANNERS, ids=str)
@pytest.mark.parametrize("delay", [0.0, 0.075])
@pytest.mark.parametrize("pause", [0.0, 0.05, 0.6])
@pytest.mark.parametrize("after", [0.001, 0.1, 0.7, 1.23, 2.345])
@pytest.mark.parametrize("word_times", [True, False])
async def test_it_goes_on_from_the_first_word_that_was_not_heard(call_lab, carrier, delay, pause, after, word_times):
    call_lab.tts.word_times = word_times
    call_lab.tts.speed = 1000.0
    story = story_of(COUNTING, (after, "pause"), (after + pause, "resume"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay, **carrier)) as caller:
        await caller.hears("seventeen")
        await caller.waits(1)
        words = [word.text for word in caller.words]
    assert repeated(words, COUNTING) <= 1
    assert story.heard[0].complete
    assert story.heard[0].heard == COUNTING
    assert story.heard[0].certainty == ("clock" if "marks" in carrier else "marks")
    assert call_lab.call.outcome.counters.get("underruns", 0) == 0
    assert call_lab.tts.spoken == [COUNTING]  # nothing was synthesised again
    call_lab.assert_nothing_left()


async def test_the_journal_says_where_it_paused_and_where_it_went_on(call_lab):
    call_lab.tts.word_times = True
    call_lab.tts.speed = 1000.0
    async with call_lab.dial(story_of(COUNTING, (1.0, "pause"), (2.0, "resume"))) as caller:
        await caller.hears("seventeen")
    journal = call_lab.call.journal
    paused, resumed = journal.of("reply.paused")[0], journal.of("reply.resumed")[0]
    assert paused.t == pytest.approx(START + FIRST_AUDIO + 1.0)
    assert paused.data == {"utterance": 1, "position": 8000}
    assert resumed.t == pytest.approx(START + FIRST_AUDIO + 2.0)
    four = len("One two three ") * 480
    assert resumed.data == {"utterance": 1, "position": four - 80, "repeated_ms": 170.0}


@CLOUD
@pytest.mark.parametrize(
    ("marks", "after", "goes_on"),
    [("echo", 0.27, 0.24), ("never", 0.27, 0.0), ("never", 0.32, 0.24), ("never", 0.28, 0.24)],
)
async def test_by_the_clock_alone_it_goes_on_as_if_the_carrier_were_late(call_lab, marks, after, goes_on):
    """By as much as it may be without running dry: less than half of the first lead here, in the last case."""
    call_lab.tts.word_times = True
    sender = with_sender(lead=0.08) if after == 0.28 else CallSettings()
    story = story_of(COUNTING, (after, "pause"), (1.0, "resume"))
    async with call_lab.dial(story, carrier=CarrierSettings(marks=marks), settings=sender) as caller:
        await caller.hears("seventeen")
    position = call_lab.call.journal.of("reply.resumed")[0].data["position"]
    assert position == (round(goes_on * 8000) - 80 if goes_on else 0)


@CLOUD
async def test_what_is_kept_for_a_network_that_stalls_has_a_bound(call_lab):
    """Then words are lost, but not the call's memory."""
    call_lab.tts.speed = 1000.0
    story = story_of(COUNTING, (6.0, "pause"), (9.0, "resume"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.05)) as caller:
        await trio.sleep_until(begins(call_lab) + 0.5)
        caller.leg._link.stall(7.0)
        await caller.hears("seventeen")
        await caller.waits(1)
    sent = max(
        record.data["position"] + record.data["samples"] for record in call_lab.call.journal.of("media.sent")[:64]
    )
    paused, resumed = call_lab.call.journal.of("reply.paused", "reply.resumed")
    assert paused.data["position"] < 0.6 * 8000
    assert 1.0 * 8000 < resumed.data["position"] == sent - KEPT * 8000
    call_lab.assert_nothing_left()


async def test_without_word_times_it_goes_on_where_the_last_pause_before_the_estimate_ended(call_lab):
    """By its letters the second word starts after 1 s; by its sound after 0.8 s."""
    voice = np.random.default_rng(5).normal(0, 3000, 16000).astype(np.int16)
    voice[6000:6400] //= 100

    async def story(call):
        begins = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, Clip(voice, 8000, "aaaa bbbb"))
            await trio.sleep_until(begins + 1.2)
            call._line.sender.pause()
            await trio.sleep(0.5)
            call._line.sender.resume()

    async with call_lab.dial(story) as caller:
        await caller.is_hung_up_on()
    assert call_lab.call.journal.of("reply.resumed")[0].data["position"] == 6400 - 80


@CLOUD
async def test_after_a_pause_the_carrier_is_filled_as_at_the_start(call_lab):
    call_lab.tts.speed = 1000.0
    async with call_lab.dial(story_of(COUNTING, (1.0, "pause"), (2.0, "resume"))) as caller:
        await caller.hears("seventeen")
        assert caller.leg.queue.gaps == 1  # the pause
    after = [(round(s.at - begins(call_lab), 3), s.samples) for s in slices(call_lab) if s.at > begins(call_lab) + 1.5]
    assert after[:4] == [(2.0, 320), (2.0, 320), (2.0, 320), (pytest.approx(2.05, abs=0.006), 800)]


async def test_it_starts_again_without_a_click_and_its_first_sound_is_whole(call_lab):
    call_lab.tts.speed = 1000.0
    call_lab.tts.word_times = True
    async with call_lab.dial(
        story_of(COUNTING, (1.0, "pause"), (2.0, "resume")), journal=JournalSettings(audio=True)
    ) as caller:
        await caller.hears("seventeen")
    first = next(r for r in call_lab.call.journal.of("media.sent") if r.t > START + FIRST_AUDIO + 1.5)
    fade = round(FADE_IN * 8000)
    pcm = to_pcm(first.data["audio"], call_lab.call.journal.of("call.started")[0].data["encoding"])
    loud = np.abs(pcm.astype(int))
    assert loud[0] < loud[fade // 2] < loud[fade - 1]
    assert loud[0] < 0.03 * loud[fade:].max()
    assert pcm[fade] == MULAW.decode(b"\0")[0]  # the word's own first sample


@pytest.mark.parametrize("carrier", MANNERS, ids=str)
@pytest.mark.parametrize("delay", [0.0, 0.1])
async def test_a_cut_in_a_pause_says_what_was_heard_before_it(call_lab, carrier, delay):
    text = "One two three four five six seven."
    call_lab.tts.word_times = True
    stories = [story_of(text, (1.3, "cut")), story_of(text, (1.3, "pause"), (2.5, "cut"))]
    for story in stories:
        async with call_lab.dial(story, carrier=CarrierSettings(delay=delay, **carrier)) as caller:
            await caller.waits(5)
        assert clears(call_lab) == 1
        assert story.returned == [pytest.approx(1.3 if story is stories[0] else 2.5)]
    assert stories[1].heard == stories[0].heard
    assert stories[1].heard[0].unheard.endswith("six seven.")
    call_lab.assert_nothing_left()


async def test_a_pause_before_it_is_audible_keeps_it_from_starting(call_lab):
    story = story_of("One two three.", (-0.05, "pause"), (0.7, "resume"))
    async with call_lab.dial(story) as caller:
        await caller.hears("three")
        assert caller.leg.queue.played(trio.current_time())[0].start == pytest.approx(begins(call_lab) + 0.7)
        await caller.waits(0.5)
    assert clears(call_lab) == 0
    assert slices(call_lab)[0].mark == "u1:1"
    assert len(call_lab.call.journal.of("reply.audible")) == 1
    assert call_lab.call.journal.of("reply.resumed")[0].data == {"utterance": 1, "position": 0, "repeated_ms": 0}
    assert story.heard[0].complete


@pytest.mark.parametrize("at", [-5.0, 2.0])
@pytest.mark.parametrize("what", ["pause", "duck", "resume"])
async def test_where_nothing_is_on_the_line_nothing_happens(call_lab, at, what):
    story = story_of("One.", (max(at, -1.0), what))
    async with call_lab.dial(story) as caller:
        await caller.hears("One.")
        await caller.waits(2)
    assert story.heard[0].complete
    assert clears(call_lab) == 0
    assert not call_lab.call.journal.of("reply.paused", "reply.ducked", "reply.resumed")


@CLOUD
async def test_a_pause_between_the_last_sample_and_its_mark_takes_nothing_back(call_lab):
    story = story_of("One.", (0.32, "pause"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.2)) as caller:
        await caller.waits(3)
        assert caller.heard == "One."
    assert clears(call_lab) == 0
    assert story.heard[0].certainty == "marks"
    assert story.returned == [pytest.approx(0.3 + 0.4)]


@CLOUD
@pytest.mark.parametrize("delay", [0.0, 0.1])
async def test_paused_when_all_was_sent_it_ends_when_the_rest_was_played(call_lab, delay):
    text = "One two three."
    length = 15 * 0.06
    story = story_of(text, (length - 0.05, "pause"), (length + 2, "resume"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=delay)) as caller:
        await caller.waits(6)
        assert repeated([word.text for word in caller.words], text) <= 1
        ends = caller.leg.queue.ends_at - begins(call_lab)
    assert ends > length + 2
    assert story.returned == [pytest.approx(ends + delay)]
    assert story.heard[0].complete
    assert story.heard[0].certainty == "marks"


@pytest.mark.parametrize("limit", [1.0, 3.0])
async def test_in_a_pause_synthesis_goes_on_into_the_buffer_and_no_further(call_lab, limit):
    story = story_of(COUNTING, (0.5, "pause"), (9.0, "resume"))
    async with call_lab.dial(story, settings=with_sender(max_buffered=limit)) as caller:
        await trio.sleep_until(begins(call_lab) + 8.9)
        sender = call_lab.call._line.sender
        assert sender.current is not None
        assert limit <= sender.current.buffered <= limit + call_lab.tts.chunk + 0.2
        assert sender.remaining == sender.current.buffered
        await caller.hears("seventeen")
        assert repeated([word.text for word in caller.words], COUNTING) <= 1


async def test_it_can_be_paused_again_and_again(call_lab):
    call_lab.tts.word_times = True
    steps = [(0.4 + 0.31 * n, "pause" if n % 2 == 0 else "resume") for n in range(20)]
    story = story_of(COUNTING, *steps)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.02)) as caller:
        await caller.hears("seventeen", timeout=60)
        repeated([word.text for word in caller.words], COUNTING)
        await caller.waits(1)
    positions = [r.data["position"] for r in call_lab.call.journal.of("reply.paused")]
    assert positions == sorted(positions)
    assert story.heard[0].complete


@CLOUD
async def test_an_echo_of_what_the_pause_threw_away_confirms_nothing_after_it(call_lab):
    """It comes back when the utterance goes on already."""
    story = story_of(COUNTING, (1.0, "pause"), (1.05, "resume"), (1.5, "cut"))
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.2)) as caller:
        await caller.waits(4)
        heard = [word.text for word in caller.words]
    journal = call_lab.call.journal
    thrown_away = {
        s.mark for s in slices(call_lab) if s.playout > begins(call_lab) + 1.0 and s.at < begins(call_lab) + 1
    }
    assert thrown_away
    statuses = {r.data["status"] for r in journal.of("mark.echoed") if r.data["mark"] in thrown_away}
    assert statuses == ({"cleared"} if echoes_cleared(call_lab) else set())
    assert story.heard[0].heard.split() == heard[: len(story.heard[0].heard.split())]


async def test_a_caller_who_hangs_up_in_a_pause_leaves_nothing(call_lab):
    story = story_of(COUNTING, (1.0, "pause"))
    async with call_lab.dial(story) as caller:
        await trio.sleep_until(begins(call_lab) + 2)
        await caller.hangs_up()
    assert call_lab.call.journal.of("reply.ended")[0].data["interrupted_by"] == "hangup"
    assert call_lab.call.journal.of("reply.ended")[0].data["heard"] == "One two three"
    call_lab.assert_nothing_left()


# --- marks of the application ---------------------------------------------------------------------------------------


def marking(*steps: tuple[float, str]):
    """A story like `story_of`; the step ``mark`` places a mark."""

    async def story(call):
        begins = call.started_at + START + FIRST_AUDIO

        async def mark():
            with call._line.sender.mark("here") as mark:
                await mark.settled.wait()
                story.marks.append((mark.status, round(trio.current_time() - begins, 3)))

        await trio.sleep_until(call.started_at + START)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "One two three four.")  # 1.2 s
            for at, what in steps:
                await trio.sleep_until(begins + at)
                if what == "mark":
                    nursery.start_soon(mark)
                else:
                    getattr(call._line.sender, what)(*["caller"] if what == "cut" else [])
        await call.listen()

    story.marks = []
    return story


@CLOUD
@pytest.mark.parametrize("carrier", [{}, {"echo_on_clear": False}], ids=str)
@pytest.mark.parametrize("over", [1.17, 3.0], ids=["before the clear comes back", "long after it"])
@pytest.mark.parametrize("at", [0.3, 1.15, 1.165], ids=["ahead", "all is sent", "in the pause"])
async def test_a_mark_that_a_pause_threw_away_is_placed_again(call_lab, carrier, over, at):
    call_lab.tts.speed = 1000.0
    steps = sorted([(at, "mark"), (1.16, "pause"), (over, "resume")])
    story = marking(*steps)
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.05, **carrier)) as caller:
        await caller.waits(8)
        ends = caller.leg.queue.ends_at - begins(call_lab)
    assert story.marks == [("played", pytest.approx(ends + 0.05, abs=0.001))]
    assert len([m for m in wire(call_lab) if m.endswith(":here")]) == (1 if at == 1.165 else 2)
    call_lab.assert_nothing_left()


@CLOUD
async def test_a_mark_whose_echo_was_on_its_way_is_placed_again_where_it_was(call_lab):
    call_lab.tts.speed = 1.0
    story = marking((0.31, "mark"), (0.62, "pause"), (2.0, "resume"))  # behind 0.4 s: its echo would come at 0.7
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.15)) as caller:
        await caller.waits(8)
    goes_on = call_lab.call.journal.of("reply.resumed")[0].data["position"] / 8000
    assert goes_on < 0.4
    assert story.marks == [("played", pytest.approx(2.0 + 0.4 - goes_on + 0.3, abs=0.002))]


@CLOUD
async def test_the_echo_of_a_mark_that_was_thrown_away_says_nothing_about_its_new_place(call_lab):
    call_lab.tts.speed = 1.0
    story = marking((0.01, "mark"), (0.05, "pause"), (0.06, "resume"))  # behind 0.1 s
    async with call_lab.dial(story, carrier=CarrierSettings(delay=0.3)) as caller:
        await caller.waits(8)
    assert [m for m in wire(call_lab) if "here" in m or m == "clear"] == ["mark m2:here", "clear", "mark m4:here"]
    assert story.marks == [("played", pytest.approx(0.06 + 0.1 + 0.6, abs=0.001))]


async def test_a_mark_that_a_pause_threw_away_is_cleared_by_a_cut(call_lab):
    call_lab.tts.speed = 1000.0
    story = marking((0.3, "mark"), (1.16, "pause"), (3.0, "cut"))
    async with call_lab.dial(story) as caller:
        await caller.waits(8)
    assert story.marks == [("cleared", 3.0)]
    call_lab.assert_nothing_left()


# --- ducking --------------------------------------------------------------------------------------------------------


def levels(caller, since: float) -> list[tuple[float, float]]:
    """The middle level of each 10 ms that the caller heard, in dB of the loudest, with its time after ``since``."""
    rows = []
    for stretch in caller.leg.queue.played(trio.current_time()):
        pcm = np.abs(MULAW.decode(stretch.audio).astype(int))
        for start in range(0, len(pcm) - 79, 80):
            rows.append((stretch.start + start / 8000 - since, float(np.median(pcm[start : start + 80]))))
    while rows[-1][1] == 0:  # an AudioSocket's last frame, filled up
        rows.pop()
    loudest = max(level for _, level in rows)
    return [(at, 20 * float(np.log10(level / loudest))) for at, level in rows]


@pytest.mark.parametrize(
    ("sender", "gain", "ramp"),
    [({}, -14.0, 0.05), ({"duck_gain": -6.0}, -6.0, 0.05), ({"duck_ramp": 0.3}, -14.0, 0.3)],
    ids=str,
)
async def test_a_ducked_reply_goes_on_more_quietly_until_it_swells_again(call_lab, sender, gain, ramp):
    call_lab.tts.speed = 1000.0
    story = story_of(COUNTING, (1.0, "duck"), (1.001, "duck"), (3.0, "resume"))
    async with call_lab.dial(story, settings=with_sender(**sender)) as caller:
        await trio.sleep_until(begins(call_lab) + 8)
        rows = levels(caller, begins(call_lab))
        assert caller.leg.queue.gaps == 0
    down = min(at for at, level in rows if level < -0.1)
    assert 1.0 <= down - 0.02 <= 1.0 + 0.17  # what the carrier had already
    settled = [at for at, level in rows if abs(level - gain) < 0.5]
    assert min(settled) - down == pytest.approx(ramp, abs=0.03)
    assert all(abs(level - gain) < 0.5 for at, level in rows if min(settled) <= at < 3.0)
    up = max(at for at, level in rows if level < -0.1)
    assert up - max(settled) == pytest.approx(ramp, abs=0.03)
    assert clears(call_lab) == 0
    assert story.heard[0].complete
    ducked, resumed = call_lab.call.journal.of("reply.ducked", "reply.resumed")
    assert ducked.data == {"utterance": 1}
    assert (resumed.data["utterance"], resumed.data["repeated_ms"]) == (1, 0)


async def test_a_ducked_reply_that_was_paused_goes_on_at_full_volume(call_lab):
    call_lab.tts.speed = 1000.0
    story = story_of(COUNTING, (1.0, "duck"), (1.5, "pause"), (1.6, "duck"), (2.0, "resume"))
    async with call_lab.dial(story) as caller:
        await trio.sleep_until(begins(call_lab) + 8)
        rows = levels(caller, begins(call_lab))
    assert all(level > -0.1 for at, level in rows if at > 2.0 + FADE_IN)


async def test_the_reply_after_a_ducked_one_is_as_loud_as_ever(call_lab):
    async def story(call):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.say, "One two three.")
            await trio.sleep(0.3)
            call._line.sender.duck()
        await call.say("Four.")
        await call.listen()

    async with call_lab.dial(story) as caller:
        await caller.hears("Four.")


@pytest.mark.parametrize("gain", [0.0, 3.0, float("-inf"), float("nan")])
def test_a_gain_that_does_not_duck_is_refused(gain):
    with pytest.raises(ConfigurationError, match="below 0"):
        SenderSettings(duck_gain=gain)


def test_a_ramp_without_length_is_refused():
    with pytest.raises(ConfigurationError, match="duck_ramp"):
        SenderSettings(duck_ramp=0)


# --- in the recording -----------------------------------------------------------------------------------------------


@CLOUD
async def test_the_recording_holds_the_pause_and_the_repeated_stretch_where_they_were_heard(call_lab):
    story = story_of(COUNTING, (1.0, "pause"), (1.05, "resume"), (2.0, "duck"), (2.5, "pause"), (3.7, "resume"))
    async with call_lab.dial(story, journal=JournalSettings(audio=True)) as caller:
        await caller.hears("seventeen")
        await caller.waits(1)
        played = caller.leg.queue.played(trio.current_time())
    _, agent, _ = render_recording(call_lab.call.journal)
    heard = np.zeros_like(agent)
    for stretch in played:
        start = round((stretch.start - call_lab.call.journal.started_at) * 8000)
        heard[start : start + len(stretch.audio)] = MULAW.decode(stretch.audio)
    assert np.count_nonzero(agent != heard) <= 4  # a sample at each seam
    assert np.count_nonzero(agent) > 6 * 8000
