"""Which paths are the engine's."""

from __future__ import annotations

import pytest

from callengine.carriers.twilio import Twilio
from callengine.server.routes import MediaRoute, is_ours, media_route

CARRIERS = {"twilio": Twilio("x"), "west": Twilio("x", name="west")}


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/twilio/voice",
        "/west/status",
        "/twilio/media",
        "/twilio/media/abc",
        "/twilio/status/abc",
    ],
)
def test_routes_of_configured_carriers_are_ours(path: str) -> None:
    assert is_ours(path, CARRIERS)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz/",
        "/telnyx/voice",
        "/voice",
        "/twilio/voice/",
        "/twilio/media/a/b",
        "/twilio/dreams",
        "/twilio/voice/a/b",
        "/api/twilio/voice",
        "*",
    ],
)
def test_all_others_are_not(path: str) -> None:
    assert not is_ours(path, CARRIERS)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/twilio/media/abc", MediaRoute("twilio", "abc")),
        ("/west/media", MediaRoute("west", None)),
        ("/twilio/media/abc?x=1", MediaRoute("twilio", "abc")),
        ("/telnyx/media/abc", None),
        ("/twilio/media/", None),
        ("/twilio/media/a/b", None),
        ("/twilio/voice", None),
        ("http://voice.example.com/twilio/media/abc", None),
    ],
)
def test_a_media_route_names_carrier_and_token(target: str, expected: MediaRoute | None) -> None:
    assert media_route(target, CARRIERS) == expected


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(media_route("/twilio/media/secret", CARRIERS))
