"""Whether a request comes from the carrier, and the addresses by which the carrier knows us.

Signatures are computed over the public URL, which a server behind a proxy or tunnel cannot see: it is configuration.
Without it, or without the carrier's secret, nothing can be verified, and so nothing is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from callengine.errors import ConfigurationError
from callengine.server.host import Host
from callengine.server.routes import MEDIA

PUBLIC_URL_VARIABLE = "CALLENGINE_PUBLIC_URL"

_PUBLIC_URL = re.compile(r"https://([^\s/?#@]+(?:/[^\s?#]*)?)")
_MAX_NUMBER = 400
"""Characters of a number that a stream's parameter may hold; Twilio takes 500 with the name (its ``<Stream>`` page)."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_HOST = re.compile(r"[A-Za-z0-9._\-]+(?::\d+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?")


def check_public_url(url: str) -> str:
    """What follows ``https://`` in a public URL, without a slash at its end.

    A path in it is a prefix which the proxy in front takes away. Raises `ConfigurationError`.
    """
    match = _PUBLIC_URL.fullmatch(url)
    if match is None:
        raise ConfigurationError(
            f"the public URL {url!r} must look like https://voice.example.com, without query: carriers connect to no"
            f" other kind; correct {PUBLIC_URL_VARIABLE} or public_url"
        )
    return match[1].rstrip("/")


def missing_configuration(host: Host, carrier: str) -> str | None:
    """What has to be set before requests of this carrier can be verified, and how; None where nothing is missing."""
    if host.insecure:
        return None
    problems = [host.carriers[carrier].missing_configuration()]
    if not host.public_url:
        problems.append(f"set {PUBLIC_URL_VARIABLE} to the https:// address at which the carrier reaches this server")
    return "; ".join(problem for problem in problems if problem is not None) or None


def webhook_is_genuine(
    host: Host, carrier: str, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Whether the carrier signed this webhook. ``target`` is the request's path with its query, as it was sent."""
    if host.insecure:
        return True
    if not host.public_url:
        return False
    url = f"https://{check_public_url(host.public_url)}{target}"
    return host.carriers[carrier].verify_webhook(method, url, headers, body, host.unix_time())


def upgrade_is_genuine(host: Host, carrier: str, target: str, headers: Mapping[str, str]) -> bool:
    """Whether the carrier signed this WebSocket upgrade."""
    if host.insecure:
        return True
    if not host.public_url:
        return False
    return host.carriers[carrier].verify_upgrade(f"wss://{check_public_url(host.public_url)}{target}", headers)


def stream_url(host: Host, carrier: str, token: str, request_host: str = "") -> str:
    """Where the carrier shall open the call's media socket."""
    base = base_url(host, carrier, request_host)
    return f"ws{base.removeprefix('http')}/{MEDIA}/{token}"


def base_url(host: Host, carrier: str, request_host: str = "") -> str:
    """Under which URL everything of this carrier is, as in ``https://voice.example.com/twilio``.

    ``request_host`` is the Host header of the carrier's own request: in development, without a public URL, it is all
    that is known, and the connection is unencrypted. Raises `ConfigurationError` where there is neither.
    """
    if host.public_url:
        return f"https://{check_public_url(host.public_url)}/{carrier}"
    if host.insecure and _HOST.fullmatch(request_host):
        return f"http://{request_host}/{carrier}"
    raise ConfigurationError(f"the server does not know its own address: set {PUBLIC_URL_VARIABLE}")


def stream_parameters(caller: str, callee: str) -> dict[str, str]:
    """What the stream's start message will repeat, as far as a parameter can hold it."""
    values = {"caller": caller, "callee": callee}
    return {
        name: value for name, value in values.items() if len(value) <= _MAX_NUMBER and not _UNPRINTABLE.search(value)
    }
