"""Plivo's *applications*: what a number points at, and where the URLs of its calls and messages stand. No I/O.

Source: https://www.plivo.com/docs/account/api/application/. A name may have letters, digits, hyphens and underscores.
"""

from __future__ import annotations

import hashlib
import re

from callengine.errors import ConfigurationError

_BASE = re.compile(r"https?://[^\s?#]+")
_URI = re.compile(r".*/Application/([0-9A-Za-z-]{1,64})/?")


def application(base: str) -> dict[str, str]:
    """The application that announces everything at ``base``. Raises `ConfigurationError` where that is no URL."""
    if _BASE.fullmatch(base) is None:
        raise ConfigurationError("a number is pointed at a URL such as https://voice.example.com/plivo")
    host = re.sub(r"[^A-Za-z0-9]+", "-", base.partition("://")[2])[:40].strip("-")
    return {
        "app_name": f"callengine-{host}-{hashlib.sha256(base.encode()).hexdigest()[:8]}",
        "answer_url": f"{base}/voice",
        "answer_method": "POST",
        "hangup_url": f"{base}/status",
        "hangup_method": "POST",
        "message_url": f"{base}/message",
        "message_method": "POST",
    }


def application_id(uri: object) -> str:
    """The id in an application's ``resource_uri``; empty where there is none."""
    match = _URI.fullmatch(uri) if isinstance(uri, str) else None
    return match[1] if match is not None else ""
