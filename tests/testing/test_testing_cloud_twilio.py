"""The simulated Twilio: what its API answers, what its TwiML does, what its webhooks say."""

from __future__ import annotations

import io
import wave

import httpx
import pytest
import trio
from fake_engine import ACCOUNT, BASE, CONNECT, call, cloud, update
from starlette.responses import Response

from callengine.testing.accounts import SENDER
from callengine.testing.clouds import Answers, Busy, Machine, RingsOut

ANNA = "+15550100002"
BERT = "+15550100003"


async def ended(person, *, within: float = 1.0) -> None:
    await person.is_hung_up_on(timeout=within)


# --- the API --------------------------------------------------------------------------------------------------------


async def test_a_call_has_twilios_resource(autojump_clock):
    async with cloud() as (network, _, api):
        network.phone(ANNA, Answers(after=1.0))
        sid = await call(api, ANNA)
        first = (await api.get(f"{ACCOUNT}/Calls/{sid}.json")).json()
        await network.answered(ANNA)
        await trio.sleep(10)
        talking = (await api.get(f"{ACCOUNT}/Calls/{sid}.json")).json()
        await update(api, sid, Status="completed")
        over = (await api.get(f"{ACCOUNT}/Calls/{sid}.json")).json()
    assert (first["sid"], first["status"], first["direction"], first["to"]) == (sid, "queued", "outbound-api", ANNA)
    assert (first["start_time"], first["duration"], first["queue_time"]) == (None, None, "0")
    assert first["uri"] == f"{ACCOUNT}/Calls/{sid}.json"
    assert talking["status"] == "in-progress"
    assert talking["start_time"].endswith(" +0000")
    assert (over["status"], over["duration"]) == ("completed", "10")


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"To": "nobody"}, 400, 21211),
        ({"From": "+15005550001"}, 400, 21210),
        ({"Timeout": "601"}, 400, 21222),
        ({"Twiml": "x" * 4001}, 400, 21620),
        ({"MachineDetection": "Maybe"}, 400, 21226),
    ],
)
async def test_what_twilio_would_not_take_is_an_error(autojump_clock, form, status, code):
    async with cloud() as (network, _, api):
        asked = {"To": ANNA, "From": SENDER, "Twiml": CONNECT} | form
        response = await api.post(f"{ACCOUNT}/Calls.json", data=asked)
        assert (response.status_code, response.json()["code"], response.json()["status"]) == (status, code, status)
        assert network.legs == []


async def test_a_stranger_gets_nothing(autojump_clock):
    async with cloud() as (network, _, api):
        response = await api.get(f"{ACCOUNT}/IncomingPhoneNumbers.json", auth=("AC" + "0" * 31 + "1", "wrong"))
        assert (response.status_code, response.json()["code"]) == (401, 20003)
        nowhere = await api.get("/2010-04-01/Accounts/AC00/Calls.json")
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, 20404)
        assert network.requests[0].path == f"{ACCOUNT}/IncomingPhoneNumbers.json"


async def test_fields_that_twilio_does_not_know_and_bodies_that_are_no_form_are_mistakes(autojump_clock):
    async with cloud() as (network, _, api):
        await call(api, ANNA, RingTime="30")
        response = await api.post(f"{ACCOUNT}/Calls.json", json={"To": ANNA})
        assert response.status_code == 400
        assert network.mistakes == [
            f"{ACCOUNT}/Calls.json: there is no ['RingTime']",
            f"{ACCOUNT}/Calls.json: a body of type 'application/json'",
        ]


async def test_a_call_that_is_over_or_unknown_cannot_be_changed(autojump_clock):
    async with cloud() as (network, _, api):
        network.phone(ANNA, Busy(after=0.1))
        sid = await call(api, ANNA)
        ringing = await update(api, sid, Twiml=CONNECT)
        await trio.sleep(1)
        over = await update(api, sid, Status="completed")
        unknown = await update(api, "CA" + "f" * 32, Status="completed")
    assert [(r.status_code, r.json()["code"]) for r in (ringing, over, unknown)] == [
        (400, 21220),
        (400, 21220),
        (404, 20404),
    ]


async def test_a_ringing_call_can_be_canceled_and_an_answered_one_cannot(autojump_clock):
    async with cloud() as (network, _engine, api):
        network.phone(ANNA, Answers(after=2.0))
        network.phone(BERT, Answers(after=0.5))
        ringing, answered = await call(api, ANNA), await call(api, BERT)
        bert = await network.answered(BERT)
        for sid in (ringing, answered):
            assert (await update(api, sid, Status="canceled")).status_code == 200
        await trio.sleep(1)
        assert [network.leg(sid).state for sid in (ringing, answered)] == ["canceled", "answered"]
        await bert.hangs_up()


# --- status callbacks -----------------------------------------------------------------------------------------------


async def test_the_life_of_a_call_is_told_in_order(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=2.0))
        sid = await call(api, ANNA)
        anna = await network.answered(ANNA)
        await anna.waits(5)
        await anna.hangs_up()
        await trio.sleep(1)
    forms = engine.of("status")
    assert [(form["CallStatus"], form["SequenceNumber"]) for form in forms] == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    assert {form["CallSid"] for form in forms} == {sid}
    assert {form["CallbackSource"] for form in forms} == {"call-progress-events"}
    assert (forms[3]["CallDuration"], forms[3]["Duration"], forms[3]["SipResponseCode"]) == ("5", "1", "200")
    assert "CallDuration" not in forms[2]
    assert forms[0]["FromCity"] == ""  # counts in the signature


async def test_only_what_was_asked_for_is_told(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, RingsOut())
        await call(api, ANNA, Timeout="5", StatusCallbackEvent="completed")
        await trio.sleep(10)
    assert [(form["CallStatus"], form["SipResponseCode"]) for form in engine.of("status")] == [("no-answer", "487")]


async def test_a_call_canceled_while_it_is_queued_is_not_told(autojump_clock):
    async with cloud() as (_network, engine, api):
        sid = await call(api, ANNA)
        await update(api, sid, Status="canceled")
        await trio.sleep(1)
    assert engine.told == []


async def test_a_time_limit_and_digits_at_the_beginning(autojump_clock):
    async with cloud() as (network, _, api):
        network.phone(ANNA, Answers(after=1.0))
        await call(api, ANNA, TimeLimit="10", SendDigits="ww12#")
        anna = await network.answered(ANNA)
        assert anna.leg.keys_heard == "12#"
        await ended(anna, within=10.1)
        assert trio.current_time() == pytest.approx(11.3, abs=0.05)


# --- incoming calls and TwiML ---------------------------------------------------------------------------------------


async def test_an_incoming_call_is_announced(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = CONNECT
        anna = network.rings(SENDER, ANNA)
        await anna.hears("Good evening!")
        await anna.hangs_up()
        await trio.sleep(1)
    form = engine.of("voice")[0]
    assert (form["CallStatus"], form["Direction"]) == ("ringing", "inbound")
    assert (form["From"], form["To"], form["Caller"], form["Called"]) == (ANNA, SENDER, ANNA, SENDER)
    assert [form["CallStatus"] for form in engine.of("status")] == ["completed"]


async def test_a_number_that_points_nowhere_is_a_mistake(autojump_clock):
    async with cloud() as (network, _, _api):
        network.own("+15005550007")
        anna = network.rings("+15005550007", ANNA)
        await ended(anna)
        assert network.mistakes == ["no voice URL is set for the number +15005550007"]


async def test_verbs_are_done_one_after_another(autojump_clock):
    document = "<Response><Say>One</Say><Pause length='2'/><Play digits='1w2'/><Say>Two</Say><Hangup/></Response>"
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = document
        anna = network.rings(SENDER, ANNA)
        one = await anna.hears("One")
        two = await anna.hears("Two")
        await ended(anna)
    assert two - one == pytest.approx(2 + 0.2 + 0.5 + 0.2 + 0.24, abs=0.05)
    assert anna.leg.keys_heard == "12"
    assert [words for _, words in network.said] == ["One", "Two"]


async def test_a_redirect_leads_to_another_document(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = "<Response><Redirect>next</Redirect><Say>Never</Say></Response>"
        engine.documents["next"] = "<Response><Say>Here</Say></Response>"
        anna = network.rings(SENDER, ANNA)
        await anna.hears("Here")
        await ended(anna)
    assert "Never" not in anna.heard
    assert engine.told[1][1] == "/twilio/next"


@pytest.mark.parametrize(("reason", "state"), [("busy", "busy"), ("rejected", "no answer")])
async def test_a_rejected_call_was_never_answered(autojump_clock, reason, state):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = f"<Response><Reject reason='{reason}'/></Response>"
        anna = network.rings(SENDER, ANNA)
        await ended(anna)
        assert (anna.leg.state, anna.leg.answered.is_set()) == (state, False)


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ("<Response><Stream/></Response", "12100"),
        ("<Reply/>", "12102"),
        ("<Response><Shout>x</Shout></Response>", "12200: there is no Shout"),
        ("<Response><Say volume='9'>x</Say></Response>", "12200: Say has no ['volume']"),
        (CONNECT.replace("wss:", "https:"), "31922"),
        (CONNECT.replace("/token", "/token?x=1"), "31920"),
        (CONNECT.replace("/token", '/token" track="both_tracks'), "31941"),
        (CONNECT.replace("/>", f'><Parameter name="n" value="{"x" * 499}"/></Stream>', 1), "12200: parameter"),
        ("<Response><Say>x</Say><Reject/></Response>", "12200: Reject on a call that was answered"),
        ("<Response><Refer><Sip>sip:a@b</Sip></Refer></Response>", "13247"),
    ],
)
async def test_what_twilio_could_not_do_is_a_mistake(autojump_clock, document, mistake):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = document
        network.rings(SENDER, ANNA)
        await trio.sleep(5)
    assert network.complaints
    assert network.complaints[0].startswith(mistake)


async def test_documents_must_say_that_they_are_xml(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = Response("<Response/>", media_type="text/html")
        await ended(network.rings(SENDER, ANNA))
    assert network.mistakes == ["12300: a document of type 'text/html'"]


async def test_parameters_come_with_the_stream(autojump_clock):
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = CONNECT.replace("/>", '><Parameter name="who" value="Anna"/></Stream>', 1)
        anna = network.rings(SENDER, ANNA)
        await anna.hears("Good evening!")
    assert (engine.starts[0].call_id, engine.starts[0].parameters) == (anna.leg.call_id, {"who": "Anna"})


# --- transfers ------------------------------------------------------------------------------------------------------

DIAL = (
    f'<Response><Dial action="{BASE}/transfer/r" timeout="10" callerId="{SENDER}">'
    f"<Number>{BERT}</Number></Dial></Response>"
)


@pytest.mark.parametrize(
    ("phone", "status", "bridged"),
    [(Answers(after=1.0), "completed", "true"), (Busy(), "busy", "false"), (RingsOut(), "no-answer", "false")],
)
async def test_what_became_of_a_transfer_is_asked_about(autojump_clock, phone, status, bridged):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        network.phone(BERT, phone)
        engine.documents["r"] = "<Response><Say>Back again</Say></Response>"
        sid = await call(api, ANNA)
        anna = await network.answered(ANNA)
        await anna.hears("Good evening!")
        assert (await update(api, sid, Twiml=DIAL)).status_code == 200
        if isinstance(phone, Answers):
            bert = await network.answered(BERT)
            assert bert.leg.line == SENDER
            await bert.waits(3)
            await bert.hangs_up()
        await anna.hears("Back again")
    form = engine.of("/transfer/")[0]
    assert (form["DialCallStatus"], form["DialBridged"], form["CallStatus"]) == (status, bridged, "in-progress")
    assert form.get("DialCallDuration") == ("3" if bridged == "true" else None)


async def test_a_caller_who_hangs_up_in_a_transfer_is_told_of(autojump_clock):
    async with cloud() as (network, engine, _api):
        network.phone(BERT, Answers(after=1.0))
        engine.documents["voice"] = DIAL
        anna = network.rings(SENDER, ANNA)
        bert = await network.answered(BERT)
        await anna.hangs_up()
        await ended(bert)
        await trio.sleep(1)
    form = engine.of("/transfer/")[0]
    assert (form["DialCallStatus"], form["CallStatus"]) == ("completed", "completed")


async def test_a_bridge_answers_when_the_target_does(autojump_clock):
    async with cloud() as (network, engine, _):
        network.phone(BERT, Answers(after=3.0))
        engine.documents["voice"] = DIAL.replace("<Dial ", '<Dial answerOnBridge="true" ')
        anna = network.rings(SENDER, ANNA)
        await network.ringing(BERT)
        await trio.sleep(1)
        assert not anna.leg.answered.is_set()
        bert = await network.answered(BERT)
        await trio.sleep(0.1)
        assert anna.leg.since("answered") == bert.leg.since("answered")


async def test_a_sip_leg_can_be_referred(autojump_clock):
    refer = f'<Response><Refer action="{BASE}/transfer/r"><Sip>sip:desk@pbx.example.com</Sip></Refer></Response>'
    async with cloud() as (network, engine, _):
        engine.documents["voice"] = refer
        network.rings(SENDER, "sip:anna@pbx.example.com")
        network.refusals["sip:desk@pbx.example.com"] = ("failed", 603)
        await trio.sleep(1)
    assert engine.of("voice")[0]["SipDomain"] == "pbx.example.com"
    form = engine.of("/transfer/")[0]
    assert (form["ReferCallStatus"], form["ReferSipResponseCode"]) == ("failed", "603")


# --- machines -------------------------------------------------------------------------------------------------------

AMD = {"AsyncAmd": "true", "AsyncAmdStatusCallback": f"{BASE}/amd/r"}


@pytest.mark.parametrize(
    ("phone", "detection", "verdict", "after"),
    [
        (Answers(), "Enable", "human", 1.5),
        (Answers(taken_for="fax"), "Enable", "fax", 3.0),
        (Machine(greeting="Hello"), "Enable", "machine_start", 3.0),
        (Machine(greeting="Hello " * 20), "DetectMessageEnd", "machine_end_beep", 8.6),
        (Machine(greeting="Hello " * 20, beep=False), "DetectMessageEnd", "machine_end_silence", 8.2),
        (Answers(), "DetectMessageEnd", "human", 1.5),
    ],
)
async def test_who_answered_is_told_later(autojump_clock, phone, detection, verdict, after):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, phone)
        await call(api, ANNA, MachineDetection=detection, **AMD)
        anna = await network.answered(ANNA)
        await anna.waits(12)
        await anna.hangs_up()
        await trio.sleep(1)
    [form] = engine.of("/amd/")
    assert form["AnsweredBy"] == verdict
    assert int(form["MachineDetectionDuration"]) == pytest.approx(after * 1000, abs=50)
    assert engine.of("status")[-1]["AnsweredBy"] == verdict


async def test_without_async_detection_the_call_waits_for_it(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        engine.documents["instructions"] = CONNECT
        form = {"To": ANNA, "From": SENDER, "Url": f"{BASE}/instructions", "MachineDetection": "Enable"}
        await api.post(f"{ACCOUNT}/Calls.json", data=form)
        anna = await network.answered(ANNA)
        await anna.hears("Good evening!")
    assert engine.of("instructions")[0]["AnsweredBy"] == "human"
    assert engine.told[0][0] == pytest.approx(1.3 + 1.5 + 0.05)


async def test_with_digits_to_send_nobody_looks_for_machines(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Machine(after=1.0))
        await call(api, ANNA, MachineDetection="Enable", SendDigits="1", **AMD)
        await network.answered(ANNA)
        await trio.sleep(10)
    assert engine.of("/amd/") == []


# --- recordings, messages, numbers ----------------------------------------------------------------------------------


async def test_a_recording_is_told_when_it_is_ready_and_can_be_fetched(autojump_clock):
    async with cloud() as (network, engine, api):
        network.phone(ANNA, Answers(after=1.0))
        sid = await call(api, ANNA)
        anna = await network.answered(ANNA)
        form = {
            "RecordingChannels": "dual",
            "RecordingStatusCallback": f"{BASE}/recording/r",
            "RecordingStatusCallbackEvent": "completed absent",
        }
        made = await api.post(f"{ACCOUNT}/Calls/{sid}/Recordings.json", data=form)
        assert (made.status_code, made.json()["status"]) == (201, "in-progress")
        recording = made.json()["sid"]
        await anna.hears("Good evening!")
        stop = f"{ACCOUNT}/Calls/{sid}/Recordings/{recording}.json"
        assert (await api.post(stop, data={"Status": "stopped"})).status_code == 200
        assert (await api.post(stop, data={"Status": "stopped"})).json()["code"] == 21220
        await trio.sleep(2)
        told = engine.of("/recording/")[0]
        fetched = await api.get(f"{told['RecordingUrl']}.wav?RequestedChannels=2")
    assert (told["RecordingSid"], told["RecordingStatus"], told["RecordingChannels"]) == (recording, "completed", "2")
    with wave.open(io.BytesIO(fetched.content)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8000)
        assert file.getnframes() / 8000 == pytest.approx(0.84, abs=0.05)  # of "Good evening!"


async def test_only_an_answered_call_can_be_recorded(autojump_clock):
    async with cloud() as (network, _, api):
        network.phone(ANNA, RingsOut())
        sid = await call(api, ANNA)
        made = await api.post(f"{ACCOUNT}/Calls/{sid}/Recordings.json", data={"Trim": "do-not-trim"})
        assert (made.status_code, made.json()["code"]) == (400, 21220)


async def test_a_text_message_goes_its_way(autojump_clock):
    async with cloud() as (network, engine, api):
        network.text_fails[BERT] = "30006"
        for to in (ANNA, BERT):
            form = {"To": to, "From": SENDER, "Body": "Hello", "StatusCallback": f"{BASE}/message-status/r"}
            made = await api.post(f"{ACCOUNT}/Messages.json", data=form)
            assert (made.status_code, made.json()["status"]) == (201, "queued")
        await trio.sleep(2)
    forms = engine.of("message-status")
    assert [form["MessageStatus"] for form in forms if form["To"] == ANNA] == ["sent", "delivered"]
    assert [(form["MessageStatus"], form.get("ErrorCode")) for form in forms if form["To"] == BERT] == [
        ("sent", None),
        ("undelivered", "30006"),
    ]
    assert [text.text for text in network.texts] == ["Hello", "Hello"]


async def test_a_text_message_comes_in(autojump_clock):
    async with cloud() as (network, engine, _):
        network.text(SENDER, ANNA, "Olá café ✓", media=("https://media.example.com/1",))
        await trio.sleep(1)
    form = engine.of("/message")[0]
    assert (form["From"], form["To"], form["Body"]) == (ANNA, SENDER, "Olá café ✓")
    assert (form["NumMedia"], form["MediaUrl0"]) == ("1", "https://media.example.com/1")


async def test_too_long_a_text_is_an_error(autojump_clock):
    async with cloud() as (_, _engine, api):
        form = {"To": ANNA, "From": SENDER, "Body": "x" * 1601}
        assert (await api.post(f"{ACCOUNT}/Messages.json", data=form)).json()["code"] == 21617


async def test_numbers_come_in_pages_and_can_be_pointed_elsewhere(autojump_clock):
    async with cloud() as (network, _, api):
        for last in range(1, 5):
            network.own(f"+1500555010{last}")
        pages, path = [], f"{ACCOUNT}/IncomingPhoneNumbers.json?PageSize=2"
        while path:
            page = (await api.get(path)).json()
            pages.append([entry["phone_number"] for entry in page["incoming_phone_numbers"]])
            path = page["next_page_uri"]
        assert pages == [[SENDER, "+15005550101"], ["+15005550102", "+15005550103"], ["+15005550104"]]
        sid = network.numbers[SENDER].sid
        await api.post(f"{ACCOUNT}/IncomingPhoneNumbers/{sid}.json", data={"VoiceUrl": "https://new.example.com/voice"})
        assert network.numbers[SENDER].voice_url == "https://new.example.com/voice"


async def test_the_api_can_be_served_on_a_port():
    from callengine.testing.network import served

    async with cloud() as (network, _, api), served(network.app) as address, httpx.AsyncClient(auth=api.auth) as real:
        response = await real.get(f"{address}{ACCOUNT}/IncomingPhoneNumbers.json")
        assert response.json()["incoming_phone_numbers"][0]["phone_number"] == SENDER
