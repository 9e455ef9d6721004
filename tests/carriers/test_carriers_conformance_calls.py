"""What every carrier promises: its commands, whatever its API answers, and whole calls on its network."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from conformance import (
    BUSY,
    CLOUDS,
    COMMANDS,
    DESK,
    EVERY,
    FAST,
    HELLO,
    OTHER,
    PERSON,
    able,
    commands,
    control_of,
    those,
    urls,
)

from callengine.audio.convert import from_pcm
from callengine.audio.tones import dtmf_tones
from callengine.errors import CarrierError
from callengine.testing.accounts import SENDER
from callengine.testing.clouds import Answers, RingsOut

# --- commands ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def two_legs(call_lab, kind):
    """A network, its commands, two callers who are being listened to, and a recording of the first."""

    async def story(call):
        while True:
            await call.listen()

    async with call_lab.network(story, carrier=kind, **FAST) as network:
        control = control_of(network.engine.carriers[kind], network.cloud)
        one, two = network.rings(caller=PERSON), network.rings(caller=OTHER)
        await trio.sleep(1)
        can = network.engine.carriers[kind].capabilities
        recording = await control.start_recording(one.leg.call_id, urls()) if can.recording else ""
        network.cloud.requests.clear()
        yield network, control, (one.leg.call_id, two.leg.call_id, recording)


def given(command: str) -> Any:
    return next(each for each in COMMANDS if each.name == command).give


async def attempt(command: Any, *args: Any) -> CarrierError | None:
    """Give it; what it raised, if anything."""
    try:
        await command.give(*args)
    except CarrierError as error:
        return error
    return None


@pytest.mark.parametrize(**commands(possible=True))
async def test_too_many_requests_are_waited_for_and_then_it_is_done(subject, command, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, legs):
        network.cloud.fault(status=429)
        before = trio.current_time()
        await command.give(control, *legs)
        assert trio.current_time() - before >= 1.0
        assert network.cloud.requests[0].status == 429
        assert all(asked.status in range(200, 300) for asked in network.cloud.requests[1:])


@pytest.mark.parametrize(**CLOUDS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_an_error_says_whose_fault_it_is_and_shows_no_key_and_no_number(subject, status, call_lab, keep_secret):
    for secret in subject.secret_values:
        keep_secret(secret)
    faults = {401: "configuration", 404: "gone", 429: "rate", 500: "unavailable", 503: "unavailable"}
    async with two_legs(call_lab, subject.kind) as (network, control, legs):
        quoted = f"{PERSON} {subject.secret_values[0]}".encode()
        body = bytes(network.cloud.refuse(status).body)
        quoting = re.sub(b"request failed|oo many requests", quoted, body)
        assert quoting != body
        network.cloud.fault(status=status, body=quoting, times=1000)
        for command in COMMANDS:
            if not command.able(subject.can):
                continue
            error = await attempt(command, control, *legs)
            if error is None:
                assert (status, command.name) in ((404, "hang up"), (404, "stop recording"))
                continue
            assert error.fault == faults.get(status, error.fault)
            assert error.carrier == subject.kind
            assert not [secret for secret in (PERSON, PERSON[1:], *subject.secret_values) if secret in str(error)]


@pytest.mark.parametrize(**CLOUDS)
async def test_a_page_in_place_of_an_error_or_an_answer_is_an_error_like_others(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, legs):
        for status in (200, 502):
            network.cloud.fault(status=status, body=b"<html>maintenance</html>", times=1000)
            errors = [await attempt(command, control, *legs) for command in COMMANDS if command.able(subject.can)]
            assert [error.fault for error in errors if error] == ["unavailable"] * len(errors)
            network.cloud.app.faults.clear()


@pytest.mark.parametrize(**commands(possible=True))
async def test_a_carrier_that_does_not_answer_is_waited_for_so_long_only(subject, command, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, legs):
        network.cloud.fault(delay=1e6, times=1000)
        with trio.fail_after(120):
            error = await attempt(command, control, *legs)
        assert error is not None
        assert error.fault == "unavailable"


@pytest.mark.parametrize(**CLOUDS)
async def test_names_that_are_none_get_into_no_path(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, _):
        for name in ("", "../Messages", "/a", "a?b=c", "%2e%2e", "a\nb", "\u20ac"):
            for command in ("hang up", "record", "stop recording", "transfer", "join"):
                with pytest.raises(CarrierError):
                    await given(command)(control, name, name, name)
        assert network.cloud.requests == []


@pytest.mark.parametrize(**able("hang_up"))
async def test_hanging_up_ends_a_leg_that_rings_one_that_talks_and_one_that_is_over(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, (leg, *_)):
        await control.hang_up(leg)
        assert network.cloud.leg(leg).over.is_set()
        await control.hang_up(leg)
        network.phone(BUSY, RingsOut())
        call = await network.engine.dial(BUSY)
        ringing = await network.ringing(BUSY)
        await control.hang_up(ringing.call_id)
        assert ringing.over.is_set()
        await control.hang_up(ringing.call_id)
        assert (await call.wait()).call is None


@pytest.mark.parametrize(**able("recording"))
async def test_stopping_a_recording_that_is_over_is_no_error(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, (leg, _, recording)):
        await control.stop_recording(leg, recording)
        assert network.cloud.recordings[recording].ended is not None
        await control.stop_recording(leg, recording)


@pytest.mark.parametrize(**CLOUDS)
async def test_the_account_s_password_is_for_the_carrier_only(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (_, control, _):
        for url in ("https://example.com/a.wav", "http://localhost/a", "file:///etc/passwd", "https://[", ""):
            assert control.authorisation(url) is None


@pytest.mark.parametrize(**able("numbers"))
async def test_a_number_can_be_listed_and_pointed_somewhere(subject, call_lab):
    async with two_legs(call_lab, subject.kind) as (network, control, _):
        for base in ("https://new.example.com/any", "https://new.example.com/any"):  # twice is once
            [number] = [entry for entry in await control.numbers() if entry.number == SENDER]
            await control.point_number(number, base)
        [number] = [entry for entry in await control.numbers() if entry.number == SENDER]
        assert number.voice_url.startswith("https://new.example.com/any/")
        assert number.voice_url.removeprefix("https://new.example.com/any/") in subject.recipe.webhooks
        caller = network.rings()
        await trio.sleep(1)
        await caller.hangs_up()
        network.cloud.mistakes.clear()  # nobody is there
        assert [told.url for told in network.cloud.webhooks if told.url == number.voice_url]


# --- whole calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(**EVERY)
async def test_a_call_comes_in_is_interrupted_and_ends(subject, call_lab):
    call_lab.llm.replies("One two three four five six seven eight nine ten.", "At eight.")
    async with call_lab.dial(HELLO, carrier=subject.kind) as caller:
        await caller.hears("Hello there.")
        await caller.says("Count for me.")
        await caller.interrupts("When is a table free?")
        await caller.hears("At eight.")
        await caller.presses("1")
        await caller.hangs_up()
    assert "ten" not in caller.heard
    assert call_lab.call.journal.of("clear.sent")


@pytest.mark.parametrize(**those(lambda subject: "cold" in subject.can.transfers))
async def test_a_caller_is_handed_over(subject, call_lab):
    async def story(call):
        await call.transfer(OTHER)

    async with call_lab.network(story, carrier=subject.kind, agent=DESK) as network:
        network.phone(OTHER, Answers())
        caller, human = network.rings(), await network.answered(OTHER)
        await human.says("This is the desk.")
        await caller.hears("This is the desk.")
        assert not network.engine.calls
        await human.hangs_up()
        await caller.is_hung_up_on()


@pytest.mark.parametrize(**those(lambda subject: "warm" in subject.can.transfers))
async def test_a_caller_and_a_human_who_was_asked_are_joined_and_end_together(subject, call_lab):
    async def story(call):
        await call.transfer_warm(OTHER, briefing="Somebody calls.")

    async with call_lab.network(story, carrier=subject.kind, agent=DESK, **FAST) as network:
        network.phone(OTHER, Answers())
        caller, human = network.rings(), await network.answered(OTHER)
        await human.hears("press one.")
        await human.presses("1")
        await human.hears("putting you through")
        await human.waits(1)
        await caller.says("Hello desk.")
        await human.hears("Hello desk.")
        assert not network.engine.calls
        await caller.hangs_up()
        await human.is_hung_up_on()


@pytest.mark.parametrize(**EVERY)
async def test_keys_reach_the_other_end(subject, call_lab):
    async def story(call):
        await call.send_digits("12#")
        await call.listen()

    if not subject.cloud:
        async with call_lab.dial(story, carrier=subject.kind) as caller:
            await caller.waits(2)
            assert _tones("12#") in caller.leg.queue.played_audio(trio.current_time())
        return
    async with call_lab.network(story, carrier=subject.kind) as network:
        caller = network.rings()
        await caller.waits(2)
        heard = {
            "socket": lambda: caller.leg.side.pressed == "12#",
            "command": lambda: caller.leg.keys_heard == "12#",
            "in-band": lambda: _tones("12#") in caller.leg.queue.played_audio(trio.current_time()),
        }
        assert heard[subject.can.dtmf_out]()


def _tones(digits: str) -> bytes:
    return from_pcm(dtmf_tones(digits, 8000), "mulaw")


@pytest.mark.parametrize(**able("messages"))
async def test_a_message_is_answered_and_one_is_followed_to_its_end(subject, call_lab):
    deliveries = []
    async with call_lab.network(HELLO, carrier=subject.kind) as network:
        network.engine.on_message(lambda message: f"You wrote: {message.text} to {message.carrier}")
        network.engine.on_delivery(deliveries.append)
        network.text("Are you open?", sender=PERSON)
        await trio.sleep(3)
        name = await network.engine.send_message(OTHER, "Bonjour \u2603 & <co>", carrier=subject.kind)
        await trio.sleep(3)
        texts = [(text.sender, text.recipient, text.text) for text in network.cloud.texts]
    assert texts[1:] == [
        (SENDER, PERSON, f"You wrote: Are you open? to {subject.kind}"),
        (SENDER, OTHER, "Bonjour \u2603 & <co>"),
    ]
    assert [fact.status for fact in deliveries if fact.message_id == name] == ["sent", "delivered"]


@pytest.mark.parametrize(**able("recording"))
async def test_a_recording_is_announced_to_the_application(subject, call_lab):
    ready = []

    async def story(call):
        name = await call.start_recording(consent="This call is recorded.")
        await call.say("Hello.")
        await call.stop_recording(name)
        await call.listen()

    async with call_lab.network(story, carrier=subject.kind) as network:
        network.engine.on_recording(ready.append)
        caller = network.rings()
        await caller.hears("This call is recorded.")
        await caller.waits(3)
        await caller.hangs_up()
    [recording] = ready
    assert (recording.carrier, recording.call_id, recording.failed) == (subject.kind, caller.leg.call_id, "")
    assert recording.recording_id in network.cloud.recordings
