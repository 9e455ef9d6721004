"""Soniox's recogniser: tokens, finalised when the call says that an utterance is over."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from callengine.audio.convert import from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.errors import ConfigurationError, ProviderError, ProviderFault
from callengine.ports import Opening, SessionContext, SttSession, Usage
from callengine.providers.asking import ask_free
from callengine.providers.fields import extra_field, key_field, positive, present, url_field
from callengine.providers.lenient import compact, json_object
from callengine.providers.merging import merged
from callengine.providers.stt.dialect import Finished, Heard, Sent, Whole
from callengine.providers.stt.streaming import open_streaming
from callengine.wire import Failures, Wire
from callengine.wire.failures import retryable_status

KEEP_ALIVE = 10.0
"""Seconds without audio after which a ``keepalive`` is sent; after 20 the vendor may close (soniox.com/docs,
"Connection keepalive", which says 5 to 10 is usual)."""

UNANSWERED = 2.0
"""Seconds that the answer to ``finalize`` may take, from the last words on. Whether there is one where no audio was
pending is not documented."""

ROUNDING = 0.2
"""Seconds by which the vendor's "audio made final up to here" may lie before what was sent: it works in frames of its
own. Much less than there is between the ends of two utterances."""

_FAULTS: Mapping[int, ProviderFault] = {400: "fatal", 401: "fatal", 402: "fatal", 403: "fatal", 408: "reopen",
                                        413: "retry", 429: "retry", 500: "reopen", 503: "reopen"}  # fmt: skip
"""soniox.com/docs, "WebSocket API", error response: after 500 and 503 it asks to restart the request."""


@attrs.frozen
class Soniox:
    """The recipe of a Soniox recogniser. It is told when an utterance is over, or judges that itself if it has an
    ``endpoint_delay``.

    The whole time that a session is open is billed, silence too: it is not opened before its call is there. The key
    travels in a header: in the first message it is refused from 15 January 2027.
    """

    model: str = attrs.field(default="stt-rt-v5", validator=present)
    api_key: str = key_field("SONIOX_API_KEY")
    base_url: str = url_field("wss://stt-rt.soniox.com")
    """Others: ``wss://stt-rt.eu.soniox.com``, ``wss://stt-rt.jp.soniox.com``."""
    account_url: str = url_field("https://api.soniox.com")
    """Of the requests that are not about audio: `probe`."""
    languages: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Codes of those that the caller may speak, such as ``("en", "es")``. Empty: the call's."""
    strict: bool = attrs.field(default=False, kw_only=True)
    """Whether it may hear no other languages than these."""
    terms: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    """Names and terms that the caller may say."""
    about: str = attrs.field(default="", kw_only=True)
    """What the calls are about, in a few sentences: it helps to hear the right words."""
    endpoint_delay: float | None = attrs.field(default=None, kw_only=True)
    """The longest pause in seconds, 0.5 to 3, after which it judges that the caller's turn is over; usually it does
    sooner. None: it does not judge."""
    extra: Mapping[str, Any] = extra_field()
    """More of the first message."""
    connect: float = attrs.field(default=5.0, validator=positive, kw_only=True)
    """Seconds to connect."""

    def __attrs_post_init__(self) -> None:
        if self.endpoint_delay is not None and not 0.5 <= self.endpoint_delay <= 3.0:
            raise ConfigurationError(f"endpoint_delay={self.endpoint_delay}: Soniox takes 0.5 to 3 seconds")

    @property
    def name(self) -> str:
        """Vendor and model."""
        return f"soniox {self.model}"

    @property
    def idle_limit(self) -> float:
        """See `Parkable.idle_limit`: an open stream is billed."""
        return 0.0

    @asynccontextmanager
    async def open(self, context: SessionContext) -> AsyncIterator[SttSession]:
        """One call's session, connected. Its cost, the time that it was open, is told when it ends.

        Raises `ProviderError`.
        """
        failures = Failures(self.name, self.api_key)
        rate = context.sample_rate
        audio_format = AudioFormat("mulaw" if rate == 8000 else "l16", rate)
        url = f"{self.base_url}/transcribe-websocket"
        opening = Opening("stt", "soniox", url, self.settings(context.language, audio_format))
        context.opening(opening)
        async with open_streaming(
            context,
            TokenDialect(opening.settings, audio_format, failures),
            url,
            failures,
            headers={"Authorization": f"Bearer {self.api_key}"},
            connect=self.connect,
        ) as session:
            opened = trio.current_time()
            try:
                yield session
            finally:
                seconds = trio.current_time() - opened
                context.meter(Usage(provider="soniox", model=self.model, seconds=seconds, estimated=True))

    async def probe(self, wire: Wire) -> None:
        """See `Probed.probe`: asks for the list of models."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        failures = Failures(self.name, self.api_key)
        await ask_free(wire, f"{self.account_url}/v1/models", headers, failures, self.connect)

    def settings(self, language: str, audio_format: AudioFormat) -> dict[str, Any]:
        """The first message."""
        settings: dict[str, Any] = {
            "model": self.model,
            "audio_format": "mulaw" if audio_format.encoding == "mulaw" else "pcm_s16le",
            "sample_rate": audio_format.sample_rate,
            "num_channels": 1,
            "language_hints": [_code(each) for each in self.languages or (language,)],
            "enable_endpoint_detection": self.endpoint_delay is not None,
        }
        if self.strict:
            settings["language_hints_strict"] = True
        if self.endpoint_delay is not None:
            settings["max_endpoint_delay_ms"] = round(self.endpoint_delay * 1000)
        about = {"text": self.about or None, "terms": list(self.terms) or None}
        if about := {name: value for name, value in about.items() if value}:
            settings["context"] = about
        return merged(settings, self.extra)


def _code(language: str) -> str:
    """``en`` of ``en-GB``."""
    return language.replace("_", "-").split("-")[0].lower()


class TokenDialect:
    """The protocol: binary audio and JSON out, tokens in (see `callengine.providers.stt.streaming`).

    A final token comes once; those that are not final come again in every message, until they are. Times are of the
    audio that was sent, so that a token's end says whose it is.
    """

    ready = True
    keep_alive = KEEP_ALIVE
    settle = UNANSWERED

    def __init__(self, settings: Mapping[str, Any], audio_format: AudioFormat, failures: Failures) -> None:
        self.hears_pauses = settings.get("enable_endpoint_detection") is True
        self._settings = settings
        self._format = audio_format
        self._failures = failures
        self._samples = 0
        """Sent so far."""
        self._starts: list[float] = []
        """Of each utterance, in seconds of what was sent."""
        self._asked: deque[tuple[int, float]] = deque()
        """Utterances whose ``finalize`` is not answered, and how many seconds were sent before it."""
        self._final: dict[int, str] = {}
        """The final text of each utterance that something was said of, and that is not finished."""
        self._done = 0
        """Utterances that are finished."""
        self._latest = 0
        """Whose the last token was."""

    def opening(self) -> Sent:
        """The configuration, for which the vendor waits a few seconds."""
        return (compact(self._settings),)

    def start(self) -> Sent:
        """Nothing: it hears a stream."""
        self._starts.append(self._sent)
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """As it is; an empty frame would end the session."""
        self._samples += len(pcm)
        return (from_pcm(pcm, self._format.encoding),) if len(pcm) else ()

    def pause(self) -> Sent:
        """Nothing: who finalises too often is disconnected (soniox.com/docs, "Manual finalization")."""
        return ()

    def end(self) -> Sent:
        """Make everything final."""
        self._asked.append((len(self._starts) - 1, self._sent))
        return (compact({"type": "finalize"}),)

    def still_here(self) -> Sent:
        """The vendor's own message for it."""
        return (compact({"type": "keepalive"}),)

    def bye(self) -> Sent:
        """An empty frame ends the session, and its billing."""
        return ("",)

    def cost(self, seconds: float) -> None:
        """Nothing by the utterance: see `Soniox.open`."""
        del seconds

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        if data.get("error_code"):
            raise self._error(data)
        tokens = data.get("tokens")
        if not isinstance(tokens, list) or not tokens:
            return ()  # progress only: what was not final stays as it was
        heard: list[Heard] = []
        tails: dict[int, str] = {}
        for token in tokens:
            if not isinstance(token, dict) or not isinstance(text := token.get("text"), str):
                continue
            final = token.get("is_final") is True
            if final and text == "<end>":
                heard += self._judged()
            elif final and text == "<fin>":
                heard += self._answered(_seconds(data.get("final_audio_proc_ms")))
            else:
                self._latest = whose = self._whose(_seconds(token.get("end_ms")))
                tail = tails.setdefault(whose, "")
                self._final[whose] = self._final.get(whose, "") + (text if final else "")
                tails[whose] = tail if final else tail + text
        return [*heard, *(Whole(final + tails.get(whose, ""), of=whose) for whose, final in self._final.items())]

    @property
    def _sent(self) -> float:
        return self._samples / self._format.sample_rate

    def _whose(self, end: float | None) -> int:
        """The utterance that was going on when the token ended: a word may seem to begin a little before its own."""
        if end is None:
            return max(self._latest, self._done)
        begun = sum(start < end for start in self._starts)
        return max(begun - 1, self._done)

    def _judged(self) -> list[Heard]:
        """An ``<end>``. Where the call has asked for the end itself, the answer to that is still to come."""
        if not self.hears_pauses or any(index == self._latest for index, _ in self._asked):
            return []
        return self._finished(self._latest, Finished("end", of=self._latest))

    def _answered(self, until: float | None) -> list[Heard]:
        """A ``<fin>``, and up to where everything is final: of several it may be the answer to the later ones, too."""
        if not self._asked:
            return []
        index, _ = self._asked.popleft()
        while until is not None and self._asked and self._asked[0][1] <= until + ROUNDING:
            index, _ = self._asked.popleft()
        return self._finished(index, Finished(of=index))

    def _finished(self, index: int, finished: Finished) -> list[Heard]:
        heard: list[Heard] = []
        for whose in [whose for whose in self._final if whose <= index]:
            heard.append(Whole(self._final.pop(whose), of=whose))
        self._done = max(self._done, index + 1)
        return [*heard, finished]

    def _error(self, data: Mapping[str, Any]) -> ProviderError:
        try:
            code = int(data["error_code"])
        except (TypeError, ValueError):
            code = 0
        message = data.get("error_message") or data.get("error_type") or "the server reported an error"
        unknown: ProviderFault = "retry" if not code or retryable_status(code) else "fatal"
        return self._failures.make(f"{data['error_code']}: {message}", fault=_FAULTS.get(code, unknown))


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return milliseconds / 1000
