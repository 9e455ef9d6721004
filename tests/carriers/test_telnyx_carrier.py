"""Telnyx's recipe: what it needs, and what its settings do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from telnyx_examples import AT, BODY, PUBLIC_KEY, decode, headers, start

from callengine.audio.format import AudioFormat
from callengine.carriers.telnyx import Telnyx
from callengine.errors import ConfigurationError
from callengine.ports import StreamStarted
from callengine.telephony import Carrier, IncomingCall, Refuse, Webhook, WebhookAnswer

VARIABLES = {
    "TELNYX_API_KEY": "KEY-of-the-environment",
    "TELNYX_PUBLIC_KEY": PUBLIC_KEY,
    "TELNYX_CONNECTION_ID": "1700000000000000001",
    "TELNYX_PHONE_NUMBER": "+15005550006",
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def verifies(carrier: Carrier, now: float = AT, body: bytes = BODY) -> bool:
    return carrier.verify_webhook("POST", "https://voice.example.com/telnyx/events", headers(), body, now)


def test_settings_come_from_the_environment_when_the_recipe_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Telnyx()
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, f" {value} ")
    after = Telnyx()

    assert (before.api_key, before.public_key, before.connection_id, before.sender) == (None,) * 4
    assert (after.api_key, after.public_key, after.connection_id, after.sender) == tuple(VARIABLES.values())
    assert Telnyx("mine").api_key == "mine"
    assert verifies(after)


def test_what_is_missing_is_named() -> None:
    assert "TELNYX_PUBLIC_KEY" in (Telnyx("key").missing_configuration() or "")
    assert "TELNYX_API_KEY" in (Telnyx(public_key=PUBLIC_KEY).missing_configuration() or "")
    assert "TELNYX_API_KEY" in (Telnyx(public_key=PUBLIC_KEY).missing_for_commands() or "")
    assert Telnyx("key", PUBLIC_KEY).missing_configuration() is None
    assert Telnyx("key").missing_for_commands() is None
    with pytest.raises(ConfigurationError, match="TELNYX_API_KEY"):
        Telnyx().control(httpx.AsyncClient())


def test_without_a_public_key_nothing_verifies() -> None:
    assert not verifies(Telnyx("key"))
    assert not verifies(Telnyx("key", ""))


def test_a_webhook_is_verified_by_its_body_and_time() -> None:
    carrier: Carrier = Telnyx("key", PUBLIC_KEY)
    assert verifies(carrier)
    assert not verifies(carrier, body=BODY + b" ")
    assert verifies(carrier, AT + 300)
    assert not verifies(carrier, AT + 301)
    assert not verifies(carrier, AT - 31)


def test_the_tolerances_can_be_set() -> None:
    assert not verifies(Telnyx("key", PUBLIC_KEY, tolerance=60), AT + 61)
    assert verifies(Telnyx("key", PUBLIC_KEY, future_tolerance=60), AT - 60)
    for settings in ({"tolerance": -1.0}, {"future_tolerance": float("nan")}):
        with pytest.raises(ConfigurationError, match="seconds"):
            Telnyx(**settings)


def test_an_upgrade_is_not_signed() -> None:
    assert Telnyx().verify_upgrade("wss://voice.example.com/telnyx/media/token", {})


def test_webhooks_are_read_and_acknowledged_without_instructions() -> None:
    carrier: Carrier = Telnyx("key", PUBLIC_KEY)
    webhook = Webhook(what="events", body=BODY)

    [fact] = carrier.read_webhook(webhook)

    assert isinstance(fact, IncomingCall)
    assert fact.call_id == "v3:test"
    assert carrier.answer(webhook, Refuse(), None) == WebhookAnswer(204)
    assert carrier.webhooks == {"events", "transfer"}


def test_what_it_can_do() -> None:
    can = Telnyx().capabilities
    assert (can.instructed, can.dtmf_out) == ("command", "command")
    assert can.transfers == {"cold", "warm", "refer"}
    assert all((can.marks, can.dtmf_in, can.hang_up, can.dial, can.amd, can.recording, can.messages, can.numbers))


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("PCMU", AudioFormat("mulaw", 8000)), ("PCMA", AudioFormat("alaw", 8000)), ("L16", AudioFormat("l16", 16000))],
)
def test_the_codec_of_streams_is_a_setting(codec: Any, expected: AudioFormat) -> None:
    event = decode(Telnyx(stream_codec=codec).codec(), start())
    assert isinstance(event, StreamStarted)
    assert event.audio_format == expected


@pytest.mark.parametrize(("order", "payload"), [("big", b"AAEA"), ("little", b"AQAB")])
def test_the_byte_order_is_a_setting(order: Any, payload: bytes) -> None:
    codec = Telnyx(stream_codec="L16", l16_byte_order=order).codec()
    decode(codec, start(media_format={"encoding": "L16", "sample_rate": 16000}))
    assert payload in codec.media(b"\x01\x00" * 320)


@pytest.mark.parametrize(
    "settings",
    [
        {"stream_codec": "G722"},
        {"l16_byte_order": "middle"},
        {"target_legs": "none"},
        {"detection": "magic"},
        {"public_key": "not a key"},
        {"api_url": "http://api.example.com"},
    ],
)
def test_bad_settings_are_refused_at_once(settings: Any) -> None:
    with pytest.raises(ConfigurationError):
        Telnyx(**settings)


def test_no_secret_is_shown() -> None:
    shown = repr(Telnyx("KEY-secret", PUBLIC_KEY, "17", "+15005550006"))
    assert "KEY-secret" not in shown
    assert "+1500" not in shown
