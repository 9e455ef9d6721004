"""Recordings that a carrier makes: asked for in a call, announced when they are there, and fetched."""

from __future__ import annotations

import io
import wave

import attrs
import httpx
import numpy as np
import pytest
import trio

from callengine import CallEnded, CarrierError, NotSupported, RecordingReady
from callengine.audio.g711 import MULAW
from callengine.fetching import FetchFailed, FetchRefused
from callengine.testing.accounts import ACCOUNT_SID, AUTH_TOKEN, PLIVO_ID, PLIVO_TOKEN, recipe
from callengine.testing.clouds import Answers, Cloud, Manners
from callengine.testing.words import read_words

PERSON = "+15005550101"
CONSENT = "This call is recorded."


@pytest.fixture(params=["twilio", "telnyx", "plivo"])
def carrier(request: pytest.FixtureRequest) -> str:
    return request.param


class World(httpx.AsyncBaseTransport):
    """The carrier's API, and the stores of recordings, which give everybody the recording of that name; what password
    each host was told is remembered."""

    def __init__(self) -> None:
        self.cloud: Cloud | None = None
        self.passwords: dict[str, str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.cloud is not None
        if request.method == "GET":
            self.passwords[request.url.host] = request.headers.get("authorization")
        if request.url.host == "recordings.example.com":
            return httpx.Response(200, content=b"RIFF of " + request.url.path.encode())
        return await httpx.ASGITransport(app=self.cloud.app).handle_async_request(request)


async def recorded(call):
    name = await call.start_recording(consent=CONSENT)
    await call.say("Hello there.")
    await call.stop_recording(name)
    await call.say("Not for the tape.")


async def test_a_recording_begins_after_the_consent_ends_when_it_is_stopped_and_can_be_fetched(call_lab, carrier):
    ready: list[RecordingReady] = []
    world = World()
    client = httpx.AsyncClient(transport=world)
    # given an account whose recordings need its password, where there is such a thing
    ours = recipe("plivo", private_recordings=True) if carrier == "plivo" else recipe(carrier)
    async with call_lab.network(recorded, carrier=carrier, carriers=[ours], http=client) as network:
        world.cloud = network.cloud
        network.engine.on_recording(ready.append)

        # when a call is recorded
        caller = network.rings(caller=PERSON)
        consent = await caller.hears(CONSENT)
        await caller.hears("Not for the tape.")
        (taken,) = network.cloud.recordings.values()
        assert taken.started >= consent
        await caller.hangs_up()
        await trio.sleep(2)

        # then the application is told of it, and gets what was said between the consent and its end
        (recording,) = ready
        audio = await network.engine.fetch_recording(recording)
    assert (recording.carrier, recording.call_id, recording.failed) == (carrier, caller.leg.call_id, "")
    assert recording.recording_id == taken.recording_id
    assert recording.duration == pytest.approx(taken.ended - taken.started, abs=1)  # Twilio rounds
    if carrier == "telnyx":  # from a store of Telnyx's, at a signed URL
        assert audio == b"RIFF of /" + taken.recording_id.encode() + b".wav"
    else:
        assert read_words(call_lab.vocabulary, agent_channel(audio)) == "Hello there."
    assert [record.data["on"] for record in call_lab.call.journal.of("recording")] == [True, False]

    # and only the carrier has seen the account's password
    passwords = {"twilio": (ACCOUNT_SID, AUTH_TOKEN), "telnyx": None, "plivo": (PLIVO_ID, PLIVO_TOKEN)}
    hosts = {"twilio": "api.twilio.com", "telnyx": "recordings.example.com", "plivo": "media.plivo.com"}
    account = passwords[carrier]
    expected = None if account is None else httpx.BasicAuth(*account)._auth_header
    assert world.passwords == {hosts[carrier]: expected}


def agent_channel(audio: bytes) -> bytes:
    """The second channel of a WAV file, in mu-law."""
    with wave.open(io.BytesIO(audio)) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getsampwidth()) == (2, 8000, 2)
        frames = np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, 2)
    return MULAW.encode(frames[:, 1].astype(np.int16))


async def test_a_call_that_was_dialled_is_recorded_too(call_lab, carrier):
    ready: list[RecordingReady] = []
    async with call_lab.network(recorded, carrier=carrier) as network:
        network.engine.on_recording(ready.append)
        network.phone(PERSON, Answers())
        call = await network.engine.dial(PERSON)
        await call.wait()
        await trio.sleep(2)
    assert [recording.call_id for recording in ready] == [call.call.id]


async def test_without_a_consent_it_begins_at_once(call_lab, carrier):
    async def story(call):
        await call.start_recording()
        await call.say("Hello there.")

    async with call_lab.network(story, carrier=carrier) as network:
        await network.rings(caller=PERSON).hears("Hello there.")
        (taken,) = network.cloud.recordings.values()
        assert taken.started < 1


async def test_one_that_nobody_stops_ends_with_the_call(call_lab, carrier):
    ready: list[RecordingReady] = []

    async def story(call):
        await call.start_recording()
        await call.listen()

    async with call_lab.network(story, carrier=carrier) as network:
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=PERSON)
        await trio.sleep(3)
        await caller.hangs_up()
        await trio.sleep(2)
        (taken,) = network.cloud.recordings.values()
        assert taken.ended == pytest.approx(3, abs=0.1)
    assert [recording.recording_id for recording in ready] == [taken.recording_id]


async def test_stopping_one_that_is_over_is_no_error(call_lab, carrier):
    async def story(call):
        name = await call.start_recording()
        await trio.sleep(1)
        await call.stop_recording(name)
        await call.stop_recording(name)
        await call.say("Goodbye.")

    async with call_lab.network(story, carrier=carrier) as network:
        await network.rings(caller=PERSON).hears("Goodbye.")


async def test_a_caller_who_leaves_during_the_consent_is_not_recorded(call_lab, carrier):
    ended = []

    async def story(call):
        with pytest.raises(CallEnded):
            await call.start_recording(consent=CONSENT)
        ended.append(call.ended)

    async with call_lab.network(story, carrier=carrier) as network:
        caller = network.rings(caller=PERSON)
        await caller.hears("This call")
        await caller.hangs_up()
        await trio.sleep(1)
        assert not network.cloud.recordings
    assert ended == [True]


async def test_a_carrier_that_will_not_record_is_an_error_and_the_call_goes_on(call_lab, carrier):
    async def story(call):
        with pytest.raises(CarrierError):
            await call.start_recording()
        await call.say("It is between us.")
        await call.listen()

    async with call_lab.network(story, carrier=carrier) as network:
        network.cloud.fault(status=400, path="ecord")
        await network.rings(caller=PERSON).hears("It is between us.")
        assert not network.cloud.recordings
    assert not call_lab.call.journal.of("recording")


async def test_a_carrier_without_recordings_says_so_before_it_asks_the_caller(call_lab):
    async def story(call):
        assert not call.capabilities.recording
        with pytest.raises(NotSupported, match="audiosocket"):
            await call.start_recording(consent=CONSENT)
        await call.say("Hello there.")

    async with call_lab.dial(story, carrier="audiosocket") as caller:
        await caller.hears("Hello there.")
        assert "recorded" not in caller.heard


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_a_recording_is_told_once_however_often_it_is_announced(call_lab, carrier):
    ready: list[RecordingReady] = []
    async with call_lab.network(recorded, carrier=carrier, webhooks=Manners(twice=True)) as network:
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=PERSON)
        await caller.hears("Not for the tape.")
        await caller.hangs_up()
        await trio.sleep(3)
    assert len(ready) == 1


async def test_two_recordings_of_a_call_are_two(call_lab, carrier):
    ready: list[RecordingReady] = []

    async def story(call):
        for _ in range(2):
            name = await call.start_recording()
            await trio.sleep(1)
            await call.stop_recording(name)
        await trio.sleep(2)

    async with call_lab.network(story, carrier=carrier) as network:
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=PERSON)
        await caller.is_hung_up_on()
    assert [recording.recording_id for recording in ready] == list(network.cloud.recordings)
    assert len(ready) == 2


async def test_a_recording_that_came_to_nothing_is_told_with_the_reason(call_lab):
    ready: list[RecordingReady] = []

    async def story(call):
        name = await call.start_recording()
        await call.stop_recording(name)  # before there is anything on it
        await trio.sleep(2)

    async with call_lab.network(story, carrier="twilio") as network:
        network.engine.on_recording(ready.append)
        await network.rings(caller=PERSON).is_hung_up_on()
        (recording,) = ready
        assert "16101" in recording.failed
        assert recording.url == ""
        with pytest.raises(FetchRefused):
            await network.engine.fetch_recording(recording)


async def test_telnyx_s_reason_for_a_recording_that_failed_is_told(call_lab):
    ready: list[RecordingReady] = []

    async def story(call):
        await call.start_recording()
        await call.listen()

    async with call_lab.network(story, carrier="telnyx") as network:
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=PERSON)
        await trio.sleep(1)
        url = "https://voice.example.com/telnyx/events"
        payload = {"call_control_id": caller.leg.call_id, "reason": "storage is full", "recording_id": "r-1"}
        event = {"record_type": "event", "event_type": "call.recording.error", "id": "e-1"}
        occurred = {"occurred_at": "2026-11-22T12:00:00.000000Z", "payload": payload}
        network.cloud.tell(url, event | occurred)
        await trio.sleep(1)
        (recording,) = ready
        await caller.hangs_up()
    assert (recording.carrier, recording.recording_id, recording.failed) == ("telnyx", "r-1", "storage is full")


@pytest.mark.parametrize("wrong", ["raises", "is slow"])
async def test_a_listener_that_fails_is_logged_and_the_others_are_told(call_lab, wrong, caplog):
    async def fails(recording: RecordingReady) -> None:
        if wrong == "raises":
            raise ValueError("no such thing")
        await trio.sleep(60)

    ready: list[RecordingReady] = []
    async with call_lab.network(recorded) as network:
        network.engine.on_recording(fails)
        network.engine.on_recording(ready.append)
        caller = network.rings(caller=PERSON)
        await caller.hears("Not for the tape.")
        await caller.hangs_up()
        await trio.sleep(15)
    assert len(ready) == 1
    expected = "failed" if wrong == "raises" else "more than 10 s"
    assert any("the listener" in record.message and expected in record.message for record in caplog.records)


# --- where it is fetched ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/RE1.wav",
        "https://2130706433/RE1.wav",
        "http://api.twilio.com/RE1.wav",
        "https://user:word@api.twilio.com/RE1.wav",
        "https://api.twilio.com:8443/RE1.wav",
        "file:///etc/passwd",
    ],
)
async def test_a_recording_that_is_said_to_be_somewhere_else_is_not_fetched(call_lab, url):
    world = World()
    async with call_lab.network(recorded, http=httpx.AsyncClient(transport=world)) as network:
        world.cloud = network.cloud
        told = RecordingReady(call_id="CA1", recording_id="RE1", url=url, carrier="twilio")
        with pytest.raises(FetchRefused) as refused:
            await network.engine.fetch_recording(told)
        assert url not in str(refused.value)
    assert world.passwords == {}


async def test_a_stranger_s_url_gets_no_password_and_a_missing_recording_is_an_error(call_lab):
    world = World()
    async with call_lab.network(recorded, http=httpx.AsyncClient(transport=world)) as network:
        world.cloud = network.cloud
        ours = RecordingReady(call_id="CA1", recording_id="RE1", url="https://api.twilio.com/x.wav", carrier="twilio")
        theirs = attrs.evolve(ours, url="https://recordings.example.com/x.wav")
        with pytest.raises(FetchFailed) as failed:
            await network.engine.fetch_recording(ours)
        assert failed.value.status == 404
        assert await network.engine.fetch_recording(theirs) == b"RIFF of /x.wav"
    assert world.passwords["recordings.example.com"] is None
    assert world.passwords["api.twilio.com"] is not None
