"""Twilio's request signatures.

The expected values were made with HMAC-SHA1 over the documented message and accepted by Twilio's own validator.
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from callengine.carriers.twilio.signature import sign, verify_upgrade, verify_webhook

TOKEN = "0123456789abcdef0123456789abcdef"
FORM = "application/x-www-form-urlencoded"
VOICE_URL = "https://voice.example.com/twilio/voice?tenant=acme"
VOICE = [
    ("AccountSid", "AC00000000000000000000000000000001"),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA00000000000000000000000000000002"),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
    ("From", "+15005550001"),
    ("To", "+15005550002"),
]
VOICE_SIGNATURE = "JjGAF+raTMTQiBVYMtU68pKUq6Q="
SMS_URL = "https://voice.example.com/twilio/sms"
SMS = [
    ("Body", "Olá café ✓"),
    ("NumMedia", "0"),
    ("MessageSid", "SM00000000000000000000000000000003"),
    ("FromCity", ""),
]
JSON_BODY = b'{"event":"example","n":1}'
JSON_URL = (
    "https://voice.example.com/twilio/json?bodySHA256=7d057821f439560c71907a972c943ff2c6b086e2a6f09263475c12b660f730a8"
)
JSON_SIGNATURE = "2gFvxMEi9cY5pHH6Yes5il9G6Uc="


def post(
    signature: str, url: str, form: list[tuple[str, str]], *, token: str = TOKEN, content_type: str = FORM
) -> bool:
    headers = {"X-Twilio-Signature": signature, "Content-Type": content_type}
    return verify_webhook(token, "POST", url, headers, urlencode(form).encode())


def test_a_form() -> None:
    assert sign(TOKEN, VOICE_URL, VOICE) == VOICE_SIGNATURE
    assert post(VOICE_SIGNATURE, VOICE_URL, VOICE)
    assert post(VOICE_SIGNATURE, VOICE_URL, VOICE[::-1], content_type=f"{FORM.upper()}; charset=UTF-8")


@pytest.mark.parametrize(
    ("signature", "url", "form", "token"),
    [
        (VOICE_SIGNATURE, VOICE_URL, [*VOICE, ("Extra", "1")], TOKEN),
        (VOICE_SIGNATURE, VOICE_URL, VOICE[1:], TOKEN),
        (VOICE_SIGNATURE, VOICE_URL.replace("acme", "evil"), VOICE, TOKEN),
        (VOICE_SIGNATURE, VOICE_URL.replace("https", "http"), VOICE, TOKEN),
        (VOICE_SIGNATURE, VOICE_URL, VOICE, "f" * 32),
        (VOICE_SIGNATURE.lower(), VOICE_URL, VOICE, TOKEN),
        ("", VOICE_URL, VOICE, TOKEN),
        ("ünïcödé \ud800", VOICE_URL, VOICE, TOKEN),
    ],
)
def test_anything_else_is_refused(signature: str, url: str, form: list[tuple[str, str]], token: str) -> None:
    assert not post(signature, url, form, token=token)


def test_an_empty_token_verifies_nothing() -> None:
    assert not post(sign("", VOICE_URL, VOICE), VOICE_URL, VOICE, token="")


def test_empty_values_and_text_beyond_ascii_count() -> None:
    assert post("JL/5MoLl/fHcE+3axhHiIrF1s8Q=", SMS_URL, SMS)
    assert not post("JL/5MoLl/fHcE+3axhHiIrF1s8Q=", SMS_URL, SMS[:3])


@pytest.mark.parametrize(
    "url", [SMS_URL, "https://voice.example.com:443/twilio/sms", "https://voice.example.com:8443/twilio/sms"]
)
@pytest.mark.parametrize("signed", ["JL/5MoLl/fHcE+3axhHiIrF1s8Q=", "GEGhvQSb/kOATAZN6hFXS8G36cg="])
def test_the_port_may_be_signed_or_not(url: str, signed: str) -> None:
    assert post(signed, url, SMS)


def test_an_odd_port_counts_as_given() -> None:
    odd = "https://voice.example.com:8443/twilio/sms"
    assert post(sign(TOKEN, odd, SMS), odd, SMS)
    assert not post(sign(TOKEN, odd, SMS), SMS_URL, SMS)
    assert verify_upgrade(TOKEN, "ws://[::1]:8000/m", {"x-twilio-signature": sign(TOKEN, "ws://[::1]/m")})


def test_a_json_body_is_bound_by_its_hash() -> None:
    headers = {"x-twilio-signature": JSON_SIGNATURE, "content-type": "application/json"}
    assert verify_webhook(TOKEN, "POST", JSON_URL, headers, JSON_BODY)
    assert not verify_webhook(TOKEN, "POST", JSON_URL, headers, JSON_BODY + b" ")


def test_a_body_without_form_or_hash_is_refused() -> None:
    for headers in ({"content-type": "application/json"}, {}):
        signed = {**headers, "x-twilio-signature": sign(TOKEN, SMS_URL)}
        assert not verify_webhook(TOKEN, "POST", SMS_URL, signed, b"{}")


def test_a_form_that_is_none_is_refused() -> None:
    headers = {"x-twilio-signature": sign(TOKEN, SMS_URL), "content-type": FORM}
    assert not verify_webhook(TOKEN, "POST", SMS_URL, headers, b"Body=%FF")
    assert not verify_webhook(TOKEN, "POST", SMS_URL, headers, b"\xff")
    assert not verify_webhook(TOKEN, "POST", SMS_URL, headers, b"&".join([b"a=1"] * 1001))


def test_a_get_is_its_url() -> None:
    url = "https://voice.example.com/twilio/voice?CallSid=CA00000000000000000000000000000002&From=%2B15005550001"
    headers = {"X-TWILIO-SIGNATURE": "P4mE9RZfThmiBFyFh7zXVee8Ugw="}
    assert verify_webhook(TOKEN, "GET", url, headers, b"")
    assert not verify_webhook(TOKEN, "GET", url + "&x=1", headers, b"")


def test_repeated_parameters_count_once_and_sorted() -> None:
    assert post("YvpEcDXqVwT9lNHIM1hSQGMHL8o=", SMS_URL, [("Digits", "2"), ("Digits", "1"), ("Digits", "2")])


def test_a_websocket_upgrade() -> None:
    headers = {"x-twilio-signature": "BbfE/txsZ8UjwSjwaliQOycxGvA="}
    assert verify_upgrade(TOKEN, "wss://voice.example.com/media/twilio", headers)
    assert verify_upgrade(TOKEN, "wss://voice.example.com:443/media/twilio", headers)
    assert not verify_upgrade(TOKEN, "wss://voice.example.com/media/other", headers)
    assert not verify_upgrade(TOKEN, "https://voice.example.com/media/twilio", headers)


def test_two_signatures_are_none() -> None:
    good = "BbfE/txsZ8UjwSjwaliQOycxGvA="
    headers = {"x-twilio-signature": good, "X-Twilio-Signature": good}
    assert not verify_upgrade(TOKEN, "wss://voice.example.com/media/twilio", headers)


def test_the_request_does_not_choose_the_algorithm() -> None:
    sha256 = "/GpMlnxCFmHT6IP9gI8sfwAJ9RmwoKiyqcZoKV3MLEI="
    claim = {"X-Twilio-Webhooks-Signature-Settings": "key=any,algorithm=HMAC_SHA256", "Content-Type": FORM}
    body = urlencode(VOICE).encode()
    assert not verify_webhook(TOKEN, "POST", VOICE_URL, {**claim, "X-Twilio-Signature": sha256}, body)
    assert verify_webhook(TOKEN, "POST", VOICE_URL, {**claim, "X-Twilio-Signature": VOICE_SIGNATURE}, body)


def test_another_header_is_another_carriers() -> None:
    headers = {"X-SignalWire-Signature": VOICE_SIGNATURE, "Content-Type": FORM}
    body = urlencode(VOICE).encode()
    assert verify_webhook(TOKEN, "POST", VOICE_URL, headers, body, header="x-signalwire-signature")
    assert not verify_webhook(TOKEN, "POST", VOICE_URL, headers, body)
