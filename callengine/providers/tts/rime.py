"""Rime's voices, on the WebSocket that tells word times while it speaks (``/ws3``)."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from callengine.audio.format import TELEPHONE, AudioFormat, Encoding
from callengine.errors import ProviderError
from callengine.ports import Opening, SessionContext, TtsSession, Usage, WordTime
from callengine.providers.asking import with_query
from callengine.providers.conversing import Sent
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import as_base64, as_list, as_object, as_text, compact, is_amount, json_object
from callengine.providers.tts.contexts import Spoken, open_contexts
from callengine.wire import Failures, Wire, open_socket

PARKED = 300.0
"""Seconds that a session may wait for its call: nothing is billed before text is sent, but no idle limit is
published."""

PROBED = 1.0
"""Seconds after a handshake in which a key that is not taken shows: the vendor may take the connection and close it."""

_LANGUAGES = {"en": "eng", "es": "spa", "fr": "fra", "de": "ger", "hi": "hin", "pt": "por", "ja": "jpn", "it": "ita"}
"""As this interface spells them (docs.rime.ai, "Supported languages"); others are passed on as they are."""


@attrs.frozen
class Rime:
    """The recipe of a Rime voice: mu-law at 8 kHz where the line is that, with the times of its words.

    Characters are billed; a connection is not. All settings belong to the connection. ``extra`` is merged into the
    address's query: ``{"timeScaleFactor": 1.1}``.
    """

    model: str = attrs.field(default="coda", validator=present)
    """``coda``, ``mistv3``, ``mistv2`` or ``arcana``. Which voices and languages go with which is the vendor's list: a
    mix that does not exist may be taken without an error."""
    voice: str = attrs.field(default="lyra", validator=present)
    api_key: str = key_field("RIME_API_KEY")
    base_url: str = url_field("wss://users-ws.rime.ai")
    language: str | None = attrs.field(default=None, kw_only=True)
    """BCP 47; the call's where None."""
    extra: Any = extra_field()
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    @property
    def name(self) -> str:
        """For logs and errors."""
        return f"rime {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`."""
        return PARKED

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[TtsSession]:
        """One call's session. Raises `ProviderError`."""
        failures = self._failures()
        opening = Opening("tts", "rime", f"{self.base_url}/ws3", self.settings(context))
        context.opening(opening)
        dialect = RimeDialect(opening.settings, failures)
        async with open_contexts(
            context,
            dialect,
            with_query(opening.url, opening.settings),
            failures,
            headers=self._headers(),
            connect=self.connect,
            on_close=failures.from_close,
        ) as session:
            yield session

    async def probe(self, wire: Wire) -> None:
        """Open a session and close it, without any text: free. Raises `ProviderError`."""
        failures = self._failures()
        url = with_query(f"{self.base_url}/ws3", self.settings(SessionContext("probe")))
        async with open_socket(
            wire, url, failures, headers=self._headers(), timeout=self.connect, on_close=failures.from_close
        ) as socket:
            with trio.move_on_after(PROBED):
                while True:
                    for spoken in RimeDialect({}, failures).feed(await socket.receive()):
                        if spoken.failure is not None:
                            raise spoken.failure

    def settings(self, context: SessionContext) -> dict[str, Any]:
        """The query of a connection."""
        language = self.language or context.language
        audio = ("mulaw", 8000) if context.line == TELEPHONE else ("pcm", 16000)
        return {
            "speaker": self.voice,
            "modelId": self.model,
            "audioFormat": audio[0],
            "samplingRate": audio[1],
            "lang": _LANGUAGES.get(language.split("-")[0].lower(), language),
            "segment": "never",  # the call sends whole sentences, each with a flush
            **self.extra,
        }

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def _failures(self) -> RimeFailures:
        return RimeFailures(self.name, self.api_key)


class RimeFailures(Failures):
    """Reads statuses in the words of a close, or of an error."""

    def from_close(self, code: int, reason: str) -> ProviderError | None:
        """A socket that was taken and then closed (1011) says why in its reason, as HTTP would."""
        del code
        return self.from_words(reason) if _STATUS.match(reason) else None

    def from_words(self, words: str) -> ProviderError:
        """An error in plain words, which may begin with a status."""
        status = _STATUS.match(words)
        if status is None:
            return self.make(words or "the server reported an error")
        return self.from_response(int(status.group(1)), {}, words[status.end() :].encode())


_STATUS = re.compile(r"\s*(?:HTTP )?([45]\d\d)\b[\s:,-]*")


class RimeDialect:
    """See `callengine.providers.tts.contexts.Dialect`."""

    ready = True
    keep_alive = math.inf
    names_contexts = True

    def __init__(self, settings: Mapping[str, Any], failures: RimeFailures) -> None:
        encoding: Encoding = "mulaw" if settings.get("audioFormat") == "mulaw" else "l16"
        rate = settings.get("samplingRate")
        self._format = AudioFormat(encoding, int(rate) if is_amount(rate) else 16000)
        self._model = as_text(settings.get("modelId"))
        self._failures = failures

    @property
    def audio_format(self) -> AudioFormat:
        """What was asked for."""
        return self._format

    def opening(self) -> Sent:
        """Nothing: the address has it all."""
        return ()

    def begin(self, context: str, text: str) -> Sent:
        """The text, and to speak all of it."""
        return (
            compact({"text": text, "contextId": context}),
            compact({"operation": "flush", "contextId": context}),
        )

    def cancel(self, context: str) -> Sent:
        """Drop what is not being generated yet."""
        del context
        return (compact({"operation": "clear"}),)

    def still_here(self) -> Sent:
        """Never said."""
        return ()

    def bye(self) -> Sent:
        """Nothing: ``eos`` would have the rest spoken, and billed."""
        return ()

    def cost(self, text: str) -> Usage | None:
        """Its characters: the vendor tells no figures."""
        return Usage(provider="rime", model=self._model, characters=len(text), estimated=True)

    def feed(self, message: str | bytes) -> Sequence[Spoken]:
        """What a message means. Audio that names no context might be of a sentence that was cut, and is dropped."""
        event = json_object(message)
        context, kind = as_text(event.get("contextId")), event.get("type")
        if kind == "error":
            return (Spoken(context, failure=self._failures.from_words(as_text(event.get("message")))),)
        if not context:
            return ()
        if kind == "done":
            return (Spoken(context, done=True),)
        if kind == "chunk" and (audio := as_base64(event.get("data"))):
            return (Spoken(context, audio),)
        if kind == "timestamps" and (words := _words(as_object(event.get("word_timestamps")))):
            return (Spoken(context, words=words),)
        return ()


def _words(times: Mapping[str, Any]) -> tuple[WordTime, ...]:
    columns = [as_list(times.get(name)) for name in ("words", "start", "end")]
    return tuple(
        WordTime(word, float(start), float(end))
        for word, start, end in zip(*columns, strict=False)
        if isinstance(word, str) and is_amount(start) and is_amount(end)
    )
