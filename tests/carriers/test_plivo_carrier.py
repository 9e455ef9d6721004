"""Plivo's recipe: what it is made of, what is missing, and whose requests it takes."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest

from callengine.audio.format import AudioFormat
from callengine.carriers.plivo import Plivo
from callengine.carriers.plivo.signature import sign_v2, sign_v3
from callengine.errors import ConfigurationError
from callengine.ports import StreamStarted
from callengine.telephony import Carrier

TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
NONCE = "12345678901234567890"
FORM = [("MessageUUID", "bbbbbbbb-1111-2222-3333-444455556666"), ("From", "15005550001"), ("Text", "Hi")]
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
BASE = "https://voice.example.com"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN", "PLIVO_PHONE_NUMBER"):
        monkeypatch.delenv(variable, raising=False)


def test_the_environment_fills_in_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIVO_AUTH_ID", "MA0123456789ABCDEF01")
    monkeypatch.setenv("PLIVO_AUTH_TOKEN", f" {TOKEN}\n")
    monkeypatch.setenv("PLIVO_PHONE_NUMBER", "+15005550002")

    carrier: Carrier = Plivo()
    assert carrier == Plivo("MA0123456789ABCDEF01", TOKEN, "+15005550002")
    assert carrier.sender == "+15005550002"
    assert Plivo(sender="+15005550003").sender == "+15005550003"


def test_what_is_missing_is_named_with_its_remedy() -> None:
    assert "PLIVO_AUTH_TOKEN" in (Plivo().missing_configuration() or "")
    assert Plivo(auth_token=TOKEN).missing_configuration() is None
    assert "PLIVO_AUTH_ID" in (Plivo(auth_token=TOKEN).missing_for_commands() or "")
    assert "PLIVO_AUTH_TOKEN" in (Plivo("MA1").missing_for_commands() or "")
    assert "PLIVO_AUTH_ID" in (Plivo("../MA1", TOKEN).missing_for_commands() or "")
    assert Plivo("MA1", TOKEN).missing_for_commands() is None


@pytest.mark.parametrize("settings", [{"auth_token": TOKEN}, {"auth_id": "MA1"}, {"auth_id": "M/A", "auth_token": "x"}])
def test_there_are_no_commands_without_an_account(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="PLIVO_AUTH"):
        Plivo(**settings).control(httpx.AsyncClient())


@pytest.mark.parametrize(
    "settings",
    [
        {"content_type": "audio/x-mulaw"},
        {"machine_detection_time": 1.9},
        {"machine_detection_time": 10.1},
        {"api_url": "http://api.plivo.com"},
        {"api_url": "api.plivo.com"},
    ],
)
def test_settings_that_plivo_would_not_take_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        Plivo(**settings)  # type: ignore[arg-type]


def test_no_secret_is_in_a_repr() -> None:
    assert TOKEN not in repr(Plivo("MA1", TOKEN, "+15005550002"))
    assert "15005550002" not in repr(Plivo("MA1", TOKEN, "+15005550002"))


def test_the_codecs_format_is_the_content_types() -> None:
    event = (
        Plivo(content_type="audio/x-l16;rate=16000")
        .codec()
        .decode(True, b'{"event":"start","start":{"callId":"c","streamId":"s"}}')
    )
    assert isinstance(event, StreamStarted)
    assert event.audio_format == AudioFormat("l16", 16000)


def test_what_plivo_can_do() -> None:
    capabilities = Plivo().capabilities
    assert capabilities.marks
    assert capabilities.dtmf_out == "socket"
    assert capabilities.instructed == "response"
    assert capabilities.transfers == {"cold", "warm"}
    assert all(
        (
            capabilities.dtmf_in,
            capabilities.hang_up,
            capabilities.dial,
            capabilities.amd,
            capabilities.recording,
            capabilities.messages,
            capabilities.numbers,
        )
    )


# --- whose requests it takes ----------------------------------------------------------------------------------------


def takes(carrier: Plivo, what: str, version: str, *, body: list[tuple[str, str]] = FORM, token: str = TOKEN) -> bool:
    url = f"{BASE}/plivo/{what}"
    signature = sign_v2(token, url, NONCE) if version == "v2" else sign_v3(token, "POST", url, NONCE, FORM)
    headers = {f"x-plivo-signature-{version}": signature, f"x-plivo-signature-{version}-nonce": NONCE, **FORM_TYPE}
    return carrier.verify_webhook("POST", url, headers, urlencode(body).encode(), 0.0)


@pytest.mark.parametrize("what", ["voice", "instructions/ref1", "status/ref1", "message", "message-status/ref1"])
def test_webhooks_are_signed(what: str) -> None:
    carrier = Plivo(auth_token=TOKEN)
    assert takes(carrier, what, "v3")
    assert not takes(carrier, what, "v3", token="f" * 40)
    assert not takes(carrier, what, "v3", body=[*FORM, ("Extra", "1")])
    assert not takes(Plivo(), what, "v3", token="")


@pytest.mark.parametrize("what", ["message", "message-status/ref1"])
def test_messages_may_have_the_older_signature(what: str) -> None:
    assert takes(Plivo(auth_token=TOKEN), what, "v2")
    assert not takes(Plivo(auth_token=TOKEN), what, "v2", token="f" * 40)
    assert not takes(Plivo(auth_token=TOKEN, messages_v2=False), what, "v2")
    assert takes(Plivo(auth_token=TOKEN, messages_v2=False), what, "v3")


@pytest.mark.parametrize(
    "what", ["voice", "instructions/message", "status/message", "voice/message-status", "message/x/y", "status/plivo"]
)
def test_nothing_else_may(what: str) -> None:
    assert not takes(Plivo(auth_token=TOKEN), what, "v2")


def test_a_prefix_in_front_and_another_name_do_not_matter() -> None:
    carrier = Plivo(auth_token=TOKEN, name="phone")
    url = f"{BASE}/behind/a/proxy/phone/message"
    headers = {"x-plivo-signature-v2": sign_v2(TOKEN, url, NONCE), "x-plivo-signature-v2-nonce": NONCE, **FORM_TYPE}
    assert carrier.verify_webhook("POST", url, headers, b"Text=Hi", 0.0)
    assert not takes(carrier, "message", "v2")


def test_an_upgrade_is_known_by_its_token_only() -> None:
    assert Plivo().verify_upgrade("wss://voice.example.com/plivo/media/token-1", {})
