"""Whether a webhook comes from Telnyx: the ``Telnyx-Signature-Ed25519`` header.

Source: https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks and the verification in
Telnyx's own ``telnyx`` package. What is signed is the time, a ``|`` and the raw body; not the URL. Everything fails
closed: without a key, a signature or a time nothing verifies.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callengine.errors import ConfigurationError

SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
TOLERANCE = 300.0
"""Seconds that a webhook may be old: that of the ``telnyx`` package. Repeated deliveries are signed anew."""
FUTURE_TOLERANCE = 30.0
"""Seconds that a webhook may be ahead of our clock: a clock that is set by NTP is never so far off, and what is signed
for later could be kept and replayed for longer."""

_DER_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""How an Ed25519 public key begins in DER (RFC 8410, section 4): the 32 raw bytes follow."""
_MOST_SIGNATURES = 8
"""Signatures looked at in one header; each costs about 0.1 ms."""
_MOST_DIGITS = 12


def read_public_key(text: str) -> bytes:
    """The 32 raw bytes of a key as the portal shows it (base64, raw or DER). Raises `ConfigurationError`."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) == len(_DER_PREFIX) + 32 and key.startswith(_DER_PREFIX):
        key = key[len(_DER_PREFIX) :]
    if len(key) != 32:
        raise ConfigurationError(
            "the Telnyx public key must be the base64 text of 32 bytes: copy it from the portal, Keys & Credentials, "
            "Public Key"
        )
    return key


def verify(
    public_key: bytes,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    *,
    tolerance: float = TOLERANCE,
    future_tolerance: float = FUTURE_TOLERANCE,
) -> bool:
    """Whether Telnyx signed this body, and not too long ago. ``now`` is Unix time in seconds.

    The header may hold several signatures with commas between them, as while keys are exchanged: one that is good is
    enough.
    """
    timestamp = _header(headers, TIMESTAMP_HEADER)
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _MOST_DIGITS):
        return False
    if not -future_tolerance <= now - int(timestamp) <= tolerance:
        return False
    message = signed(headers, body)
    presented = _header(headers, SIGNATURE_HEADER).split(",")[:_MOST_SIGNATURES]
    return any(_is_good(public_key, signature.strip(), message) for signature in presented)


def signed(headers: Mapping[str, str], body: bytes) -> bytes:
    """What a webhook's signature is of: its time and its body."""
    return _header(headers, TIMESTAMP_HEADER).encode("utf-8", "replace") + b"|" + body


def _is_good(public_key: bytes, signature: str, message: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        if len(raw) != 64:
            return False
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, message)
    except (ValueError, InvalidSignature):  # binascii.Error is a ValueError; so is a key that is none
        return False
    return True


def _header(headers: Mapping[str, str], wanted: str) -> str:
    """A header's value, whatever the case of its name; empty where it is missing or came in two spellings."""
    values = [value for name, value in headers.items() if name.lower() == wanted]
    return values[0] if len(values) == 1 else ""
