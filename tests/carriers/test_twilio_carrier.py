"""The recipe of Twilio as a carrier."""

from __future__ import annotations

import json

import pytest

from callengine.carriers.twilio import Twilio
from callengine.carriers.twilio.signature import sign
from callengine.errors import ConfigurationError, WebhookError
from callengine.ports import Ignored
from callengine.telephony import (
    CallbackUrls,
    Capabilities,
    Carrier,
    ConnectStream,
    IncomingCall,
    RecordingReady,
    Webhook,
)

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://voice.example.com/twilio/voice"
NOW = 1_790_000_000.0
ACCOUNT = "AC00000000000000000000000000000001"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_the_token_comes_from_the_environment_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    carrier = Twilio()
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")

    assert carrier.auth_token == TOKEN
    assert carrier.missing_configuration() is None
    assert Twilio(auth_token="other").auth_token == "other"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_token_it_says_what_to_set_and_trusts_nobody(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    for carrier in (Twilio(), Twilio(auth_token=value)):
        assert "TWILIO_AUTH_TOKEN" in (carrier.missing_configuration() or "")
        headers = {**FORM, "x-twilio-signature": sign("", URL, [("a", "1")])}
        assert not carrier.verify_webhook("POST", URL, headers, b"a=1", NOW)
        assert not carrier.verify_upgrade("wss://h/m", {"x-twilio-signature": sign("", "wss://h/m")})


def test_it_verifies_with_its_token() -> None:
    carrier = Twilio(auth_token=TOKEN)
    headers = {**FORM, "x-twilio-signature": sign(TOKEN, URL, [("a", "1")])}

    assert carrier.verify_webhook("POST", URL, headers, b"a=1", NOW)
    assert not carrier.verify_webhook("POST", URL, headers, b"a=2", NOW)
    assert carrier.verify_upgrade("wss://h/m", {"x-twilio-signature": sign(TOKEN, "wss://h/m")})
    assert not carrier.verify_upgrade("wss://h/n", {"x-twilio-signature": sign(TOKEN, "wss://h/m")})


def test_everything_else_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"ACCOUNT_SID": f" {ACCOUNT}\n", "API_KEY": "SK1", "API_SECRET": "s3cret", "PHONE_NUMBER": "+15005550006"}
    for name, value in values.items():
        monkeypatch.setenv(f"TWILIO_{name}", value)
    carrier = Twilio(auth_token=TOKEN)
    assert (carrier.account_sid, carrier.api_key, carrier.api_secret, carrier.sender) == (
        ACCOUNT,
        "SK1",
        "s3cret",
        "+15005550006",
    )
    assert Twilio(TOKEN, sender="").sender is None


def test_no_secret_is_in_its_repr() -> None:
    shown = repr(Twilio(TOKEN, ACCOUNT, "SK0001", "s3cret", sender="+15005550006"))
    for secret in (TOKEN, "SK0001", "s3cret", "5550006"):
        assert secret not in shown
    assert Twilio(auth_token=TOKEN).name == "twilio"
    assert Twilio(auth_token=TOKEN, name="second").name == "second"


def test_every_stream_has_its_own_codec_with_the_tracks_asked_for() -> None:
    start = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1"}}
    agent = {"event": "media", "streamSid": "MZ1", "media": {"track": "outbound", "payload": "/w=="}}
    for tracks, expected in ((("inbound",), Ignored("other track")), (("inbound", "outbound"), b"\xff")):
        carrier = Twilio(auth_token=TOKEN, tracks=tracks)
        first, second = carrier.codec(), carrier.codec()
        first.decode(True, json.dumps(start).encode())

        assert first.decode(True, json.dumps(agent).encode()) == expected
        assert second.decode(True, json.dumps(agent).encode()) == Ignored("media before start")


# --- what it can do, and its webhooks -------------------------------------------------------------------------------


def test_what_it_can_do() -> None:
    carrier: Carrier = Twilio(TOKEN)
    assert carrier.capabilities == Capabilities(
        marks=True,
        dtmf_in=True,
        dtmf_out="in-band",
        instructed="response",
        hang_up=True,
        dial=True,
        transfers=frozenset({"cold", "warm", "refer"}),
        amd=True,
        recording=True,
        messages=True,
        numbers=True,
    )
    assert carrier.webhooks == {
        "voice",
        "instructions",
        "transfer",
        "status",
        "amd",
        "stream",
        "recording",
        "message",
        "message-status",
    }


def test_a_webhook_is_read_and_answered() -> None:
    carrier = Twilio(TOKEN)
    call = "CA00000000000000000000000000000002"
    webhook = Webhook(what="voice", body=f"CallSid={call}&From=%2B15005550001&To=%2B15005550002".encode())

    [fact] = carrier.read_webhook(webhook)
    answer = carrier.answer(webhook, ConnectStream("wss://h/m"), CallbackUrls("https://h/twilio", "r1"))

    assert isinstance(fact, IncomingCall)
    assert fact.call_id == call
    assert (answer.status, answer.media_type) == (200, "text/xml")
    assert '<Stream url="wss://h/m" statusCallback="https://h/twilio/stream/r1" />' in answer.body
    with pytest.raises(WebhookError):
        carrier.read_webhook(Webhook(what="voice", body=b"CallSid=1"))


def test_recordings_are_in_its_region() -> None:
    form = f"CallSid=CA{'0' * 32}&AccountSid={ACCOUNT}&RecordingSid=RE{'0' * 32}&RecordingStatus=completed"
    carrier = Twilio(TOKEN, api_url="https://api.dublin.ie1.twilio.com/")
    [fact] = carrier.read_webhook(Webhook(what="recording", body=form.encode()))
    assert isinstance(fact, RecordingReady)
    assert fact.url == f"https://api.dublin.ie1.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{'0' * 32}.wav"


def test_a_password_is_not_sent_unencrypted() -> None:
    with pytest.raises(ConfigurationError, match="api_url"):
        Twilio(TOKEN, api_url="http://api.twilio.com")
