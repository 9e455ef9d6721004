"""Azure Speech's recogniser, on the WebSocket that the vendor's own packages use."""

from __future__ import annotations

import platform
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import attrs
import httpx

from callengine.errors import ProviderError
from callengine.ports import Opening, SessionContext, SttSession
from callengine.providers.asking import over_http, with_query
from callengine.providers.azure_account import REGION, at_region, check_region, key_header, locale
from callengine.providers.fields import extra_field, key_field, positive, url_field, variable_field
from callengine.providers.merging import merged
from callengine.providers.stt.azure_dialect import CLOSES, AzureDialect
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Failures, Patience, Wire, asked
from callengine.wire.http import error_body

Profanity: TypeAlias = Literal["masked", "removed", "raw"]

PATH = "/speech/recognition/conversation/cognitiveservices/v1"
"""Of continuous recognition."""

PARKED = 240.0
"""Seconds that a session may wait for its call. The service drops a socket without a turn after about 5 minutes (seen
by users of the vendor's packages; not documented)."""

_ACCOUNT = "https://{region}.api.cognitive.microsoft.com"
"""Where a key is exchanged for a token (learn.microsoft.com, "Speech to text REST API for short audio")."""


@attrs.frozen
class Azure:
    """The recipe of an Azure Speech recogniser.

    The vendor documents this interface only through its own packages; it is the one that those use. Billed by the
    second of audio.
    """

    model: str = ""
    """The endpoint id of a custom model; empty: the language's own."""
    api_key: str = key_field("AZURE_SPEECH_KEY")
    region: str = variable_field("AZURE_SPEECH_REGION")
    """Of the key, such as ``westeurope``."""
    base_url: str = url_field("wss://{region}.stt.speech.microsoft.com")
    """``{region}`` stands for the region."""
    language: str = attrs.field(default="", kw_only=True)
    """A locale such as ``de-DE``; empty: the call's."""
    phrases: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say."""
    profanity: Profanity = attrs.field(
        default="masked", validator=attrs.validators.in_(("masked", "removed", "raw")), kw_only=True
    )
    """What becomes of swear words."""
    extra: Mapping[str, Any] = extra_field()
    """More query parameters; ``speech.context`` in it is put over that message's body."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        check_region(self.region, self.base_url)

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"azure {self.model}".rstrip()

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: nothing is billed before audio."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Raises `ProviderError`."""
        failures = Failures(self.name, self.api_key, closes=CLOSES)
        url = at_region(self.base_url, self.region) + PATH
        opening = Opening("stt", "azure", url, self.settings(self.language or context.language))
        context.opening(opening)
        dialect = AzureDialect(
            opening.settings, context.sample_rate, failures, model=self.model, new_id=_new_id, timestamp=_timestamp
        )
        query = {name: value for name, value in opening.settings.items() if not name.startswith("speech.")}
        async with open_streaming(
            context,
            dialect,
            with_query(url, query),
            failures,
            headers={**key_header(self.api_key), "X-ConnectionId": _new_id()},
            connect=self.connect,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`: exchanges the key for a token, which nobody uses. It is good for ten minutes."""
        failures = Failures(self.name, self.api_key)
        base_url = _ACCOUNT if REGION in self.base_url else over_http(self.base_url)
        url = f"{at_region(base_url, self.region)}/sts/v1.0/issueToken"
        request = httpx.Request("POST", url, headers=key_header(self.api_key), content=b"")

        def too_late() -> ProviderError:
            return failures.make(f"no answer within {self.connect:g} s")

        async with asked(wire.http, request, failures, Patience(self.connect), too_late) as body:
            answer = await error_body(body)
            if body.response.status_code != 200:
                raise failures.from_response(body.response.status_code, body.response.headers, answer)

    def settings(self, language: str) -> dict[str, Any]:
        """The query of the handshake, and the bodies of the two messages that the vendor reads settings from."""
        settings: dict[str, Any] = {"language": locale(language), "format": "simple", "profanity": self.profanity}
        if self.model:
            settings["cid"] = self.model
            del settings["language"]  # a custom model has its own
        settings["speech.config"] = _client()
        settings["speech.context"] = _context(self.phrases)
        return merged(settings, self.extra)


def _client() -> dict[str, Any]:
    """Who we are, in the words of the vendor's packages."""
    system = platform.system()
    audio = {"source": {"connectivity": "Unknown", "manufacturer": "", "model": "", "type": "Stream"}}
    return {
        "context": {
            "system": {"name": "callengine", "version": "1", "build": "Python", "lang": "Python"},
            "os": {"platform": system, "name": system, "version": platform.release()},
            "audio": audio,
        }
    }


def _context(phrases: tuple[str, ...]) -> dict[str, Any]:
    if not phrases:
        return {}
    return {"dgi": {"Groups": [{"Type": "Generic", "Items": [{"Text": phrase} for phrase in phrases]}]}}


def _new_id() -> str:
    return uuid.uuid4().hex


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
