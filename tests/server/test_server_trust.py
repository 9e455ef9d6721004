"""What proves that a request is the carrier's, and the addresses that it uses."""

from __future__ import annotations

import pytest
from fake_host import AUTH_TOKEN, VOICE_FORM, FakeHost, signature

from callengine.carriers.twilio import Twilio
from callengine.errors import ConfigurationError
from callengine.server.trust import (
    check_public_url,
    missing_configuration,
    stream_url,
    upgrade_is_genuine,
    webhook_is_genuine,
)

FORM = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in VOICE_FORM.items()).encode()
TYPE = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://voice.example.com", "voice.example.com"),
        ("https://voice.example.com/", "voice.example.com"),
        ("https://voice.example.com:8443/phone/", "voice.example.com:8443/phone"),
    ],
)
def test_a_public_url_loses_its_scheme_and_last_slash(url: str, kept: str) -> None:
    assert check_public_url(url) == kept


@pytest.mark.parametrize(
    "url",
    ["", "voice.example.com", "http://voice.example.com", "https://h/?a=1", "https://h#x", "https://a@b", "wss://h"],
)
def test_another_public_url_is_refused_with_the_variable_to_correct(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CALLENGINE_PUBLIC_URL"):
        check_public_url(url)


def test_what_is_missing_is_named() -> None:
    bare = FakeHost(carriers={"twilio": Twilio("")}, public_url=None)
    problem = missing_configuration(bare, "twilio")

    assert problem is not None
    assert "TWILIO_AUTH_TOKEN" in problem
    assert "CALLENGINE_PUBLIC_URL" in problem
    assert "PUBLIC_URL" not in (missing_configuration(FakeHost(carriers=bare.carriers), "twilio") or "")
    assert "AUTH_TOKEN" not in (missing_configuration(FakeHost(public_url=None), "twilio") or "")
    assert missing_configuration(FakeHost(), "twilio") is None


def test_nothing_is_missing_where_nothing_is_verified() -> None:
    host = FakeHost(carriers={"twilio": Twilio("")}, public_url=None, insecure=True)

    assert missing_configuration(host, "twilio") is None
    assert webhook_is_genuine(host, "twilio", "POST", "/twilio/voice", {}, b"")
    assert upgrade_is_genuine(host, "twilio", "/twilio/media/x", {})


def test_a_signature_counts_for_the_public_url_only() -> None:
    headers = TYPE | signature("/twilio/voice", VOICE_FORM)

    assert webhook_is_genuine(FakeHost(), "twilio", "POST", "/twilio/voice", headers, FORM)
    assert not webhook_is_genuine(FakeHost(), "twilio", "POST", "/twilio/voice?a=1", headers, FORM)
    assert not webhook_is_genuine(FakeHost(), "twilio", "POST", "/twilio/voice", headers, FORM + b"&Digits=1")
    assert not webhook_is_genuine(FakeHost(), "twilio", "POST", "/twilio/voice", TYPE, FORM)
    elsewhere = FakeHost(public_url="https://other.example.com")
    assert not webhook_is_genuine(elsewhere, "twilio", "POST", "/twilio/voice", headers, FORM)


def test_a_prefix_that_the_proxy_takes_away_is_signed_too() -> None:
    host = FakeHost(public_url="https://voice.example.com/phone")

    assert upgrade_is_genuine(host, "twilio", "/twilio/media/x", signature("/phone/twilio/media/x", scheme="wss"))


def test_without_a_public_url_nothing_is_genuine() -> None:
    host = FakeHost(public_url=None)

    assert not webhook_is_genuine(host, "twilio", "GET", "/twilio/voice", signature("/twilio/voice"), b"")
    assert not upgrade_is_genuine(host, "twilio", "/twilio/media/x", signature("/twilio/media/x", scheme="wss"))


def test_streams_come_to_the_public_url() -> None:
    assert stream_url(FakeHost(), "twilio", "abc", "localhost") == "wss://voice.example.com/twilio/media/abc"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_in_development_streams_come_to_where_the_request_came(host: str) -> None:
    assert (
        stream_url(FakeHost(public_url=None, insecure=True), "twilio", "abc", host) == f"ws://{host}/twilio/media/abc"
    )


@pytest.mark.parametrize("host", ["", "evil/path", "a b", 'x"y', "h:port"])
def test_a_host_header_that_is_no_host_gives_no_url(host: str) -> None:
    with pytest.raises(ConfigurationError, match="CALLENGINE_PUBLIC_URL"):
        stream_url(FakeHost(public_url=None, insecure=True), "twilio", "abc", host)


def test_without_insecure_the_host_header_is_never_used() -> None:
    with pytest.raises(ConfigurationError):
        stream_url(FakeHost(public_url=None), "twilio", "abc", "localhost")


def test_the_recipe_keeps_its_secret() -> None:
    assert AUTH_TOKEN not in repr(FakeHost())
