"""Telnyx's webhook signatures: Ed25519 over the time and the body. The vector's key was made for tests alone."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from telnyx_examples import AT, BODY, PUBLIC_KEY, SEED, SIGNATURE, headers

from callengine.carriers.telnyx.signature import read_public_key, verify
from callengine.errors import ConfigurationError

KEY = read_public_key(PUBLIC_KEY)


def sign(timestamp: str, body: bytes = BODY) -> str:
    signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(timestamp.encode() + b"|" + body)
    return base64.b64encode(signature).decode()


def test_the_vector() -> None:
    assert len(BODY) == 350
    assert sign(str(AT)) == SIGNATURE
    assert verify(KEY, headers(), BODY, AT)
    assert verify(KEY, {name.lower(): value for name, value in headers().items()}, BODY, AT)


@pytest.mark.parametrize(
    ("presented", "body"),
    [
        (headers(timestamp=str(AT + 1)), BODY),
        (headers(), BODY + b" "),
        (headers(), BODY.replace(b"0001", b"0009")),
        (headers(signature=""), BODY),
        (headers(signature=SIGNATURE[:-4]), BODY),
        (headers(signature=SIGNATURE + "AAAA"), BODY),
        (headers(signature=SIGNATURE.replace("+", "-").replace("/", "_")), BODY),
        (headers(signature="é" * 88), BODY),
        (headers(timestamp=""), BODY),
        (headers(timestamp=f"{AT}.0"), BODY),
        (headers(timestamp=f"+{AT}"), BODY),
        (headers(timestamp=f" {AT}"), BODY),
        (headers(timestamp="٣" * 10), BODY),
        (headers(timestamp="9" * 5000), BODY),
        ({"Telnyx-Timestamp": str(AT)}, BODY),
        ({"Telnyx-Signature-Ed25519": SIGNATURE}, BODY),
        ({**headers(), "telnyx-timestamp": str(AT)}, BODY),
        ({**headers(), "telnyx-signature-ed25519": SIGNATURE}, BODY),
        ({}, BODY),
    ],
)
def test_what_telnyx_did_not_sign(presented: dict[str, str], body: bytes) -> None:
    assert not verify(KEY, presented, body, AT)


@pytest.mark.parametrize(
    ("offset", "good"), [(300, True), (301, False), (-30, True), (-31, False), (300.5, False), (86_400, False)]
)
def test_a_webhook_is_good_for_five_minutes_and_not_from_the_future(offset: float, good: bool) -> None:
    assert verify(KEY, headers(), BODY, AT + offset) is good


def test_the_tolerances_are_settings() -> None:
    assert not verify(KEY, headers(), BODY, AT + 11, tolerance=10)
    assert verify(KEY, headers(), BODY, AT + 10, tolerance=10)
    assert not verify(KEY, headers(), BODY, AT - 1, future_tolerance=0)
    assert verify(KEY, headers(), BODY, AT - 300, future_tolerance=300)


def test_one_good_signature_of_several_is_enough() -> None:
    other = base64.b64encode(bytes(64)).decode()
    assert verify(KEY, headers(signature=f"{other}, {SIGNATURE}"), BODY, AT)
    assert verify(KEY, headers(signature=f"{SIGNATURE},"), BODY, AT)
    assert not verify(KEY, headers(signature=f"{other},{other}"), BODY, AT)
    assert not verify(KEY, headers(signature=",".join([other] * 1000 + [SIGNATURE])), BODY, AT)  # bounded work


def test_another_key_does_not_verify() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    raw = other.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert not verify(raw, headers(), BODY, AT)
    assert not verify(b"", headers(), BODY, AT)


def test_a_key_may_be_raw_or_der() -> None:
    key = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    der = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    assert read_public_key(der) == read_public_key(f" {PUBLIC_KEY}\n") == KEY


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", PUBLIC_KEY[:-4], PUBLIC_KEY * 2, "é"])
def test_a_key_that_is_none_says_where_to_find_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="portal"):
        read_public_key(text)


@given(st.text(max_size=100), st.text(max_size=20), st.binary(max_size=50))
def test_no_header_raises(signature: str, timestamp: str, body: bytes) -> None:
    assert not verify(KEY, headers(signature, timestamp), body, AT)
