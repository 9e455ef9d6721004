"""Where a server is dialled, and what it is called in what the carrier signs."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

import attrs

from callengine.errors import ConfigurationError

_PLAIN = {"https": "http", "wss": "ws"}
_SECURE = {"http": "https", "ws": "wss"}


def _check_target(_: object, __: object, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r}: give the media socket (ws:// or wss://) or the voice webhook (http(s)://)")


def _check_public(_: object, __: object, url: str | None) -> None:
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise ConfigurationError(f"--public-url {url!r}: give what the server calls itself, https://host")


@attrs.frozen
class Address:
    """``target`` is dialled. ``public`` is what the server calls itself, where that is another name: it is signed in
    the target's place, and URLs that the server gives under that name are dialled at the target.

    Raises `ConfigurationError` for what is no such URL.
    """

    target: str = attrs.field(validator=_check_target)
    public: str | None = attrs.field(default=None, validator=_check_public)

    @property
    def webhook(self) -> bool:
        """Whether the target is a voice webhook, and not a media socket."""
        return urlsplit(self.target).scheme in ("http", "https")

    @property
    def local(self) -> bool:
        """Whether the target is on this machine."""
        host = urlsplit(self.target).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def signed(self, url: str) -> str:
        """The URL that is signed where this one is dialled."""
        return url if self.public is None else _move(url, self.target, self.public)

    def dialled(self, url: str) -> str:
        """Where a URL that the server gave is dialled."""
        return url if self.public is None else _move(url, self.public, self.target)


def _move(url: str, home: str, other: str) -> str:
    """The URL, at the other host where it is at home; its scheme goes with it."""
    parts, away = urlsplit(url), urlsplit(other)
    if parts.netloc != urlsplit(home).netloc:
        return url
    secure = away.scheme in _PLAIN
    scheme = (_SECURE if secure else _PLAIN).get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, away.netloc, *parts[2:]))
