"""What a program does with the telephone: keys, recordings, messages; in async and in blocking stories."""

from __future__ import annotations

import inspect
import logging
from functools import partial

import numpy as np
import pytest
import trio
from lab_calls import CLOUD

from callengine import Agent, BlockingCall, Call, Clip, ConfigurationError
from callengine.audio.convert import to_pcm
from callengine.audio.tones import COLUMNS, ROWS
from callengine.call.telephone import Telephone
from callengine.errors import CallEnded, CarrierError, NotAllowed, NotSupported
from callengine.telephony import Capabilities
from callengine.testing.accounts import SENDER, recipe
from callengine.testing.clouds import Answers, Busy

CALLER, HUMAN, STRANGER = "+15005550101", "+15005550102", "+15005550199"
DESK = Agent(may_reach=(HUMAN,))
KEYPAD = ["123A", "456B", "789C", "*0#D"]
DIGITS = "159D*0#"


@pytest.fixture(params=["twilio", "signalwire", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


async def told(lab, story, **options):
    """A call that runs this story to its end; returns the network, when it is over."""
    done = trio.Event()

    async def whole(call):
        try:
            await story(call)
        finally:
            done.set()

    async with lab.network(whole, **options) as network:
        network.rings(caller=CALLER)
        with trio.fail_after(120):
            await done.wait()
    lab.assert_nothing_left()
    assert lab.calls[0].outcome.ended_by == "agent", lab.calls[0].outcome
    return network


# --- keys ---------------------------------------------------------------------------------------------------------


def goertzel(samples, frequency: float) -> float:
    """The energy of one frequency, by Goertzel's recurrence, at 8 kHz."""
    turn = 2 * np.cos(2 * np.pi * frequency / 8000)
    before, last = 0.0, 0.0
    for sample in samples.astype(float):
        before, last = last, sample + turn * last - before
    return before * before + last * last - turn * before * last


def keys_in(audio: bytes) -> str:
    """The keys whose tones are in mu-law at 8 kHz, as a receiver reads them: 20 ms at a time."""
    pcm = to_pcm(audio, "mulaw")
    read = ""
    sounding = ""
    for start in range(0, len(pcm) - 159, 160):
        block = pcm[start : start + 160]
        key = ""
        if np.abs(block).max() > 4000:
            row = int(np.argmax([goertzel(block, frequency) for frequency in ROWS]))
            column = int(np.argmax([goertzel(block, frequency) for frequency in COLUMNS]))
            key = KEYPAD[row][column]
        if key and key != sounding:
            read += key
        sounding = key
    return read


def pressed(network) -> str:
    """The keys that reached the other end, by whichever way."""
    leg = network.cloud.legs[0]
    heard = leg.queue.played_audio(trio.current_time())
    return leg.keys_heard + leg.streams[0].side.pressed + keys_in(heard)


async def test_keys_reach_the_other_end_by_the_carrier_s_own_way(call_lab, carrier):
    network = await told(call_lab, lambda call: call.send_digits(DIGITS), carrier=carrier)

    leg = network.cloud.legs[0]
    assert pressed(network) == DIGITS
    way = {"twilio": "in-band", "signalwire": "socket", "telnyx": "command", "plivo": "socket"}[carrier]
    assert bool(leg.streams[0].side.pressed) == (way == "socket")
    assert bool(leg.keys_heard) == (way == "command")
    assert bool(leg.queue.played_audio(trio.current_time())) == (way == "in-band")


async def test_keys_without_another_way_are_tones(call_lab):
    """Telnyx without an API key: it can be given no commands."""

    async def story(call):
        assert call.capabilities.dtmf_out == "command"
        await call.send_digits("42#")
        await call.hang_up()

    async with call_lab.dial(story, carrier="telnyx") as caller:
        await caller.is_hung_up_on()
        assert keys_in(caller.leg.queue.played_audio(trio.current_time())) == "42#"


async def test_a_call_whose_carrier_has_no_keys_at_all_plays_tones(call_lab):
    async def story(call):
        await call.send_digits("7")
        await call.hang_up()

    async with call_lab.dial(story, carrier="audiosocket") as caller:
        await caller.is_hung_up_on()
        assert keys_in(caller.leg.queue.played_audio(trio.current_time())) == "7"


@pytest.mark.parametrize(("digits", "seconds"), [("1w2", 0.5), ("1W2", 1.0), ("1wW2", 1.5)])
async def test_pauses_between_keys_are_kept(call_lab, digits, seconds):
    took = []

    async def story(call):
        begun = trio.current_time()
        await call.send_digits(digits)
        took.append(trio.current_time() - begun)

    network = await told(call_lab, story, carrier="signalwire")

    assert took == [pytest.approx(seconds)]
    side = network.cloud.legs[0].streams[0].side
    first, second = [at for at, kind in side.received if kind == "dtmf"]
    assert second - first == pytest.approx(seconds)


async def test_tones_last_as_long_as_they_are_played(call_lab):
    took = []

    async def story(call):
        begun = trio.current_time()
        await call.send_digits("1w2")
        took.append(trio.current_time() - begun)

    await told(call_lab, story, carrier="twilio")

    assert took == [pytest.approx(0.9, abs=0.1)]  # two keys of 0.2 s, half a second between


@pytest.mark.parametrize("digits", ["", "12x", "1 2", "+1", "１"])
async def test_what_is_no_key_is_said_without_quoting_it(call_lab, carrier, digits):
    async def story(call):
        with pytest.raises(ConfigurationError, match="0-9") as caught:
            await call.send_digits(digits)
        assert not digits or digits not in str(caught.value)

    network = await told(call_lab, story, carrier=carrier)
    assert pressed(network) == ""


async def test_digits_stand_in_no_journal_and_no_log(call_lab, carrier, caplog):
    caplog.set_level(logging.DEBUG)
    await told(call_lab, lambda call: call.send_digits("90210#"), carrier=carrier)

    journal = call_lab.call.journal
    assert [record.data["digits"] for record in journal.of("dtmf.sent")] == ["••••••"]
    assert "90210" not in " ".join(record.to_json() for record in journal)
    assert "90210" not in caplog.text
    assert all("90210" not in turn.said for turn in call_lab.call.outcome.turns)


async def test_a_carrier_that_will_not_press_keys_says_so_and_the_call_goes_on(call_lab):
    async def story(call):
        with pytest.raises(CarrierError):
            await call.send_digits("1")
        await call.say("Still here.")

    async with call_lab.network(story, carrier="telnyx") as network:
        network.cloud.fault(status=422, path="send_dtmf")
        caller = network.rings(caller=CALLER)
        await caller.hears("Still here.")


async def test_a_call_that_ends_while_keys_are_sent_says_so_at_once(call_lab, carrier):
    when = []

    async def story(call):
        try:
            await call.send_digits("1WWWWWW2")
        except CallEnded as ended:
            when.append((trio.current_time(), ended.outcome.ended_by))

    async with call_lab.network(story, carrier=carrier) as network:
        if carrier == "telnyx":
            network.cloud.fault(path="send_dtmf", answer_delay=9.0)
        caller = network.rings(caller=CALLER)
        await trio.sleep_until(2)
        await caller.hangs_up()
        await trio.sleep(0.1)

    assert when == [(pytest.approx(2.0, abs=0.05), "caller")]
    assert "stories cut off" not in call_lab.call.outcome.counters
    call_lab.assert_nothing_left()


# --- recordings ---------------------------------------------------------------------------------------------------


async def test_consent_is_asked_for_before_anything_is_recorded(call_lab, carrier):
    ready = []

    async def story(call):
        name = await call.start_recording(consent="This call is recorded.")
        await call.say("How can I help?")
        await call.stop_recording(name)
        await call.say("That was off the record.")
        await trio.sleep(2)

    async with call_lab.network(story, carrier=carrier) as network:
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=CALLER)
        consented = await caller.hears("This call is recorded.")
        await caller.hears("How can I help?")
        await caller.hears("That was off the record.")
        await caller.is_hung_up_on()
        await trio.sleep(2)
        (taken,) = network.cloud.recordings.values()

    assert taken.started >= consented - 0.02
    assert taken.ended < taken.started + 4
    notes = [(record.data["recording"], record.data["on"]) for record in call_lab.call.journal.of("recording")]
    assert [on for _, on in notes] == [True, False]
    assert len({name for name, _ in notes}) == 1
    assert [one.call_id for one in ready] == [call_lab.call.id]
    assert ready[0].carrier == carrier
    call_lab.assert_nothing_left()


async def test_consent_may_be_a_recording_of_its_own(call_lab, carrier):
    beep = Clip(np.full(8000, 3000, np.int16), 8000, "Beep.")

    async def story(call):
        begun = trio.current_time()
        await call.start_recording(consent=beep)
        assert trio.current_time() - begun >= 1.0 - 1e-6

    network = await told(call_lab, story, carrier=carrier)
    assert len(network.cloud.recordings) == 1


async def test_without_consent_a_recording_starts_at_once(call_lab, carrier):
    async def story(call):
        begun = trio.current_time()
        await call.start_recording()
        assert trio.current_time() == begun

    network = await told(call_lab, story, carrier=carrier)
    assert not call_lab.call.outcome.turns
    assert len(network.cloud.recordings) == 1


async def test_a_caller_who_hangs_up_at_the_consent_is_not_recorded(call_lab, carrier):
    ended = []

    async def story(call):
        with pytest.raises(CallEnded):
            await call.start_recording(consent="This call is recorded, for as long as it goes on.")
        ended.append(True)

    async with call_lab.network(story, carrier=carrier) as network:
        caller = network.rings(caller=CALLER)
        await caller.hears("This call")
        await caller.hangs_up()
        await trio.sleep(1)
        assert not network.cloud.recordings
    assert ended
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 500, "times": 4}])
async def test_a_recording_that_the_carrier_refuses_is_an_error_and_the_call_goes_on(call_lab, carrier, fault):
    async def story(call):
        with pytest.raises(CarrierError, match=carrier):
            await call.start_recording()
        await call.say("Not recorded.")

    async with call_lab.network(story, carrier=carrier) as network:
        network.cloud.fault(path="ecord", **fault)
        caller = network.rings(caller=CALLER)
        await caller.hears("Not recorded.", timeout=60)
        assert not call_lab.call.journal.of("recording")


# --- messages -----------------------------------------------------------------------------------------------------


async def test_a_message_goes_to_the_person_on_the_line_from_the_number_he_called(call_lab, carrier):
    names = []

    async def story(call):
        names.append(await call.send_message("Your table is booked."))

    network = await told(call_lab, story, carrier=carrier)

    (text,) = network.cloud.texts
    assert (text.recipient, text.sender, text.text) == (CALLER, SENDER, "Your table is booked.")
    assert names == [text.message_id]
    (note,) = call_lab.call.journal.of("message.sent")
    assert note.data == {"message": names[0], "to": "•••0101"}


async def test_in_a_call_that_went_out_the_person_is_who_was_called(call_lab, carrier):
    async def story(call):
        await call.send_message("It was nice to talk to you.")
        await call.hang_up()

    async with call_lab.network(story, carrier=carrier) as network:
        network.phone(HUMAN, Answers(after=1))
        await (await network.engine.dial(HUMAN)).wait()
        assert [(text.recipient, text.sender) for text in network.cloud.texts] == [(HUMAN, SENDER)]


async def test_others_are_written_to_only_where_the_agent_may_reach_them(call_lab, carrier):
    """A53."""

    async def story(call):
        with pytest.raises(NotAllowed):
            await call.send_message("Hello", to=STRANGER)
        await call.send_message("Somebody called.", to=HUMAN)

    network = await told(call_lab, story, carrier=carrier, agent=DESK)
    assert [text.recipient for text in network.cloud.texts] == [HUMAN]


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_message_needs_a_text(call_lab, carrier, text):
    async def story(call):
        with pytest.raises(ConfigurationError, match="needs a text"):
            await call.send_message(text)

    network = await told(call_lab, story, carrier=carrier)
    assert not network.cloud.texts


@CLOUD
async def test_somebody_without_a_number_cannot_be_written_to(call_lab):
    raised = []

    async def story(call):
        with pytest.raises(ConfigurationError) as caught:
            await call.send_message("Hello")
        raised.append(str(caught.value))

    async with call_lab.network(story) as network:
        caller = network.rings(caller="anonymous")
        await caller.is_hung_up_on()
        assert not network.cloud.texts
    assert raised


# --- what a carrier can do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["twilio", "signalwire", "telnyx", "plivo"])
async def test_a_call_says_what_its_carrier_can_do(call_lab, kind):
    async with call_lab.dial(Agent(greeting="Hello."), carrier=kind):
        assert call_lab.call.capabilities == recipe(kind).capabilities


@pytest.mark.parametrize("what", ["start_recording", "stop_recording", "send_message"])
async def test_a_carrier_that_cannot_is_not_asked(call_lab, what):
    async def story(call):
        assert call.capabilities == Capabilities(marks=call.capabilities.marks, instructed=call.capabilities.instructed)
        arguments = () if what == "start_recording" else ("x",)
        with pytest.raises(NotSupported, match="audiosocket"):
            await getattr(call, what)(*arguments)
        await call.say("No.")

    async with call_lab.dial(story, carrier="audiosocket") as caller:
        await caller.hears("No.")


# --- after the end ------------------------------------------------------------------------------------------------

AFTER = {
    "hold": lambda call: call.hold(),
    "transfer": partial(Call.transfer, to=HUMAN),
    "transfer_warm": partial(Call.transfer_warm, to=HUMAN, briefing="Somebody calls."),
    "refer": partial(Call.refer, to="sip:desk@example.com"),
    "send_digits": partial(Call.send_digits, digits="1"),
    "start_recording": Call.start_recording,
    "stop_recording": partial(Call.stop_recording, recording_id="RE1"),
    "send_message": partial(Call.send_message, text="Hello"),
}


@pytest.mark.parametrize("what", AFTER)
async def test_nothing_of_the_telephone_works_after_the_end(call_lab, carrier, what):
    raised = []

    async def story(call):
        with pytest.raises(CallEnded):
            await call.listen()
        try:
            done = AFTER[what](call)
            if inspect.isawaitable(done):
                await done
        except CallEnded as ended:
            raised.append(ended.outcome.ended_by)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        caller = network.rings(caller=CALLER)
        await trio.sleep(1)
        await caller.hangs_up()
        await trio.sleep(0.5)
        asked = len(network.cloud.requests)
        await trio.sleep(2)
        assert len(network.cloud.requests) == asked
        assert not network.cloud.texts
        assert not network.cloud.recordings
    assert raised == ["caller"]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("what", ["start_recording", "send_message"])
async def test_a_call_that_ends_during_a_slow_command_says_so_at_once(call_lab, carrier, what):
    when = []

    async def story(call):
        arguments = () if what == "start_recording" else ("Hello",)
        with pytest.raises(CallEnded):
            await getattr(call, what)(*arguments)
        when.append(trio.current_time())

    async with call_lab.network(story, carrier=carrier) as network:
        path = "ecord" if what == "start_recording" else "essage"
        network.cloud.fault(path=path, answer_delay=8.0)
        caller = network.rings(caller=CALLER)
        await trio.sleep_until(2)
        await caller.hangs_up()
        await trio.sleep(0.1)
    assert when == [pytest.approx(2.0, abs=0.05)]
    call_lab.assert_nothing_left()


async def test_unhold_after_the_end_does_nothing(call_lab):
    async def story(call):
        call.hold()
        with pytest.raises(CallEnded):
            await call.listen()
        call.unhold()
        call.unhold()

    async with call_lab.dial(story) as caller:
        await caller.waits(1)
    assert call_lab.call.outcome.ended_by == "caller"
    call_lab.assert_nothing_left()


async def test_hold_may_begin_and_end_at_once_and_begin_again(call_lab):
    async def story(call):
        for _ in range(3):
            call.hold()
            call.unhold()
        call.hold()
        await trio.sleep(3)
        call.unhold()
        call.hold()
        await trio.sleep(3)
        call.unhold()
        await call.say("I am back.")

    async with call_lab.dial(story) as caller:
        await caller.hears("I am back.")
        heard = len(caller.leg.queue.played_audio(trio.current_time())) / 8000
        assert 5.5 <= heard <= 7.5
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("samples", [0, 1, 7999])
async def test_music_too_short_to_be_played_over_and_over_is_refused(call_lab, samples):
    music = Clip(np.zeros(samples, np.int16), 8000)

    async def story(call):
        with pytest.raises(ConfigurationError, match="1 s or more"):
            call.hold(music)
        with pytest.raises(ConfigurationError, match="1 s or more"):
            async with call.on_hold(music):
                pass
        await call.say("No music.")

    async with call_lab.dial(story) as caller:
        await caller.hears("No music.")
    assert not call_lab.call.journal.of("hold")
    call_lab.assert_nothing_left()


# --- blocking stories ---------------------------------------------------------------------------------------------


def test_a_blocking_call_has_the_same_methods():
    """All that a program does with the telephone, with the same arguments."""
    ours = {name for name, value in vars(Telephone).items() if inspect.isroutine(value) and not name.startswith("_")}
    ours -= {"hand_over", "on_hold"}  # the engine's own, and a context: hold and unhold

    for name in ours:
        theirs = inspect.signature(getattr(BlockingCall, name)).parameters
        assert list(theirs.values()) == list(inspect.signature(getattr(Call, name)).parameters.values()), name


async def test_a_blocking_story_transfers_its_caller(call_lab, carrier):
    def story(call):
        call.say("I will put you through.")
        call.transfer(HUMAN, timeout=20)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, Answers(after=1))
        caller = network.rings(caller=CALLER)
        human = await network.answered(HUMAN)
        await human.says("The desk here.")
        await caller.hears("The desk here.")
    assert call_lab.calls[0].outcome.reason == "transferred to •••0102"
    call_lab.assert_nothing_left()


async def test_a_blocking_story_uses_all_of_the_telephone(call_lab, carrier):
    seen = []

    def story(call):
        seen.append((call.person, call.capabilities.recording))
        call.send_digits("1")
        name = call.start_recording("This is recorded.")
        call.stop_recording(name)
        call.send_message("Hello.")
        call.hold()
        call.unhold()
        call.expect("phone")
        seen.append(call.came_back)
        call.hang_up("all done")

    async with call_lab.network(story, carrier=carrier) as network:
        caller = network.rings(caller=CALLER)
        await caller.is_hung_up_on()
        assert pressed(network).startswith("1")  # the lab's speech has tones, too
        assert len(network.cloud.recordings) == 1
        assert [text.recipient for text in network.cloud.texts] == [CALLER]
    assert seen == [(CALLER, True), ""]
    assert call_lab.call.outcome.reason == "all done"
    call_lab.assert_nothing_left()


async def test_a_blocking_story_s_transfer_that_fails_brings_the_caller_back(call_lab, carrier):
    backs = []

    def story(call):
        backs.append(call.came_back)
        if call.came_back:
            call.say("Nobody is there.")
            call.listen()
        else:
            call.transfer(HUMAN, timeout=10)

    async with call_lab.network(story, carrier=carrier, agent=DESK) as network:
        network.phone(HUMAN, Busy())
        caller = network.rings(caller=CALLER)
        await caller.hears("Nobody is there.")
        await caller.hangs_up()
    assert len(backs) == 2
    call_lab.assert_nothing_left()


@CLOUD
async def test_a_blocking_story_hears_of_the_end_from_each_method(call_lab):
    raised = []

    def story(call):
        attempts = [
            call.listen,
            call.hold,
            lambda: call.send_digits("1"),
            lambda: call.transfer(HUMAN),
            lambda: call.transfer_warm(HUMAN, briefing="x"),
            lambda: call.refer("sip:desk@example.com"),
            call.start_recording,
            lambda: call.stop_recording("RE1"),
            lambda: call.send_message("Hello"),
        ]
        for attempt in attempts:
            try:
                attempt()
            except CallEnded:
                raised.append(True)

    async with call_lab.network(story, agent=DESK) as network:
        caller = network.rings(caller=CALLER)
        await trio.sleep(1)
        await caller.hangs_up()
    assert raised == [True] * 9
    call_lab.assert_nothing_left()
