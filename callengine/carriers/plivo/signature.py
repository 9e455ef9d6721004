"""Whether a request comes from Plivo: its signatures V3 (voice) and V2 (messages).

Sources: https://www.plivo.com/docs/voice/concepts/signature-validation/ and the validator of Plivo's own ``plivo``
package (4.63) for V3; https://www.plivo.com/docs/messaging/concepts/signature-validation for V2. Both are an
HMAC-SHA256 keyed with an auth token, over the request and a nonce. V3 covers the URL, its query and the form. V2, which
is what Plivo documents for messages, covers the URL without its query, and nothing of the form.

Neither has a time in it: a request can be replayed, so handlers must be idempotent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl

Version: TypeAlias = Literal["v3", "v2"]

_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 1000
"""Form fields read; a voice webhook has about thirty."""
_MAX_SIGNATURES = 20
"""Values that one header may hold: Plivo sends one for each of a few tokens."""


def sign_v3(auth_token: str, method: str, url: str, nonce: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request to ``url``, with the decoded fields of its form."""
    base, _, query = url.partition("#")[0].partition("?")
    fields = sorted(form)
    pairs = parse_qsl(query, keep_blank_values=True)
    if method.upper() == "GET":
        pairs, fields = sorted([*pairs, *fields]), []
    signed = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    if signed or fields:
        base += f"?{signed}"
    if signed and fields:
        base += "."
    base += "".join(name + value for name, value in fields)
    return _mac(auth_token, f"{base}.{nonce}")


def sign_v2(auth_token: str, url: str, nonce: str) -> str:
    """The signature of a request to ``url``, whatever its query and its body."""
    return _mac(auth_token, url.partition("#")[0].partition("?")[0] + nonce)


def verify_webhook(
    auth_token: str, method: str, url: str, headers: Mapping[str, str], body: bytes, *, version: Version = "v3"
) -> bool:
    """Whether Plivo signed this request.

    ``url`` is the public URL as Plivo knows it, with its query: behind a proxy it is made from configuration.
    ``version`` is chosen by whoever asks, never by the request.
    """
    values = [_header(headers, f"x-plivo-signature-{kind}{version}") for kind in ("", "ma-")]
    presented = [value.strip().encode("utf-8", "replace") for line in values if line for value in line.split(",")]
    nonce = _header(headers, f"x-plivo-signature-{version}-nonce")
    if not auth_token or not nonce or not presented:  # with an empty key, anybody could sign
        return False
    if version == "v2":
        expected = sign_v2(auth_token, url, nonce)
    else:
        form = _signed_form(method, headers, body)
        if form is None:
            return False
        expected = sign_v3(auth_token, method, url, nonce, form)
    return any(hmac.compare_digest(value, expected.encode()) for value in presented[:_MAX_SIGNATURES])


def parse_form(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form in order, empty values included; None for what is not one."""
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        return None


def _signed_form(method: str, headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]] | None:
    """The fields that a signature covers; None where there is a body that it would not cover."""
    if not body:
        return []
    content_type = _header(headers, "content-type").partition(";")[0].strip().lower()
    if method.upper() == "GET" or content_type != _FORM:
        return None
    return parse_form(body)


def _mac(auth_token: str, message: str) -> str:
    digest = hmac.new(auth_token.encode(), message.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _header(headers: Mapping[str, str], wanted: str) -> str:
    """A header's value, whatever the case of its name; empty where it is missing or came in two spellings."""
    values = [value for name, value in headers.items() if name.lower() == wanted]
    return values[0] if len(values) == 1 else ""
