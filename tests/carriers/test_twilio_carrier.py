"""The recipe of Twilio as a carrier."""

from __future__ import annotations

import json

import pytest

from callengine.carriers.twilio import Twilio
from callengine.carriers.twilio.signature import sign
from callengine.ports import Ignored

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://voice.example.com/twilio/voice"
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
        assert not carrier.verify_webhook("POST", URL, headers, b"a=1")
        assert not carrier.verify_upgrade("wss://h/m", {"x-twilio-signature": sign("", "wss://h/m")})


def test_it_verifies_with_its_token() -> None:
    carrier = Twilio(auth_token=TOKEN)
    headers = {**FORM, "x-twilio-signature": sign(TOKEN, URL, [("a", "1")])}

    assert carrier.verify_webhook("POST", URL, headers, b"a=1")
    assert not carrier.verify_webhook("POST", URL, headers, b"a=2")
    assert carrier.verify_upgrade("wss://h/m", {"x-twilio-signature": sign(TOKEN, "wss://h/m")})
    assert not carrier.verify_upgrade("wss://h/n", {"x-twilio-signature": sign(TOKEN, "wss://h/m")})


def test_the_token_is_not_in_its_repr() -> None:
    assert TOKEN not in repr(Twilio(auth_token=TOKEN))
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
