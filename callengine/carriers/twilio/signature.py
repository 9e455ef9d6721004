"""Whether a request comes from Twilio: the ``X-Twilio-Signature`` header.

Source: https://www.twilio.com/docs/usage/security#validating-requests and the request validator of Twilio's own
``twilio`` package. The signature is an HMAC-SHA1 keyed with the account's auth token. Newer webhooks may carry a header
that names another algorithm; a request does not get to choose, so that header is not read.

A signature has no time in it: a request can be replayed, so handlers must be idempotent.

SignalWire signs in the same way under a header of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

SIGNATURE_HEADER = "x-twilio-signature"
_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 1000
"""Form fields read; a voice webhook has about forty."""


def sign(auth_token: str, url: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request to ``url``, with the decoded fields of its form (a repeated value counts once)."""
    message = url + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(auth_token.encode(), message.encode("utf-8", "surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def verify_webhook(
    auth_token: str,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    header: str = SIGNATURE_HEADER,
) -> bool:
    """Whether the carrier signed this request, in this header (named in lower case).

    ``url`` is the public URL as Twilio knows it, with its query: behind a proxy it is made from configuration. A form
    is signed with its fields, any other body by the ``bodySHA256`` that Twilio adds to the query.
    """
    fields: list[tuple[str, str]] = []
    if method.upper() not in ("GET", "HEAD"):
        if _header(headers, "content-type").partition(";")[0].strip().lower() == _FORM:
            parsed = parse_form(body)
            if parsed is None:
                return False
            fields = parsed
        elif not _body_matches(url, body):
            return False
    return _verify(auth_token, url, fields, headers, header)


def verify_upgrade(auth_token: str, url: str, headers: Mapping[str, str]) -> bool:
    """Whether Twilio signed this WebSocket upgrade. ``url`` is the ``wss://`` URL that its TwiML gave."""
    return _verify(auth_token, url, (), headers, SIGNATURE_HEADER)


def parse_form(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form in order, empty values included; None for what is not one."""
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        return None


def _verify(
    auth_token: str, url: str, form: Iterable[tuple[str, str]], headers: Mapping[str, str], header: str
) -> bool:
    presented = _header(headers, header)
    if not auth_token or not presented:  # with an empty key, anybody could sign
        return False
    given = presented.encode("utf-8", "replace")
    fields = list(form)
    return any(
        hmac.compare_digest(given, sign(auth_token, variant, fields).encode()) for variant in _port_variants(url)
    )


def _port_variants(url: str) -> list[str]:
    """The URL as given, without a port, and with its scheme's: Twilio is not consistent about which it signs."""
    scheme, colon, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    host, tail = rest[:end], rest[end:]
    bare, found, port = host.rpartition(":")
    if not (found and port.isdecimal()):
        bare = host
    standard = "443" if scheme.lower() in ("https", "wss") else "80"
    return [url, f"{scheme}{colon}{bare}{tail}", f"{scheme}{colon}{bare}:{standard}{tail}"]


def _body_matches(url: str, body: bytes) -> bool:
    query = url.partition("#")[0].partition("?")[2]
    announced = [value for name, value in parse_qsl(query) if name == "bodySHA256"]
    actual = hashlib.sha256(body).hexdigest()
    return len(announced) == 1 and hmac.compare_digest(announced[0].lower().encode(), actual.encode())


def _header(headers: Mapping[str, str], wanted: str) -> str:
    """A header's value, whatever the case of its name; empty where it is missing or came in two spellings."""
    values = [value for name, value in headers.items() if name.lower() == wanted]
    return values[0] if len(values) == 1 else ""
