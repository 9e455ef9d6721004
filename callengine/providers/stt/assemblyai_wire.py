"""The protocol of AssemblyAI's streaming interface, version 3, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, inf
from types import MappingProxyType
from typing import Any

from callengine.audio.convert import SILENCE, from_pcm
from callengine.audio.format import AudioFormat, Pcm
from callengine.errors import ProviderError, ProviderFault
from callengine.ports import Usage
from callengine.providers.lenient import as_list, as_object, as_text, is_amount, json_object
from callengine.providers.stt.dialect import Finished, Heard, Sent, Words
from callengine.providers.stt.timeline import Timeline
from callengine.wire import Failures

SHORTEST, LONGEST = 0.05, 1.0
"""Seconds of audio in a message: with less or more, the vendor ends the session (3007)."""

KEEP_ALIVE = 10.0
"""Seconds: well within the time after which the session asks to be ended when nothing comes."""

UNANSWERED = 1.0
"""Seconds that the answer to ``ForceEndpoint`` may take, from the last words on: where nobody spoke, there is none."""

JUDGED = 0.1
"""The same, where a turn has ended since the caller fell silent: hardly anything can follow. So long, too, is the
silence after which the vendor may end a turn by itself: with less, its end is the answer to ``ForceEndpoint``."""

# The vendor's error codes, of this version and of the last one, which its package (`assemblyai` 1.8.2) still knows.
_CODES: Mapping[int, ProviderFault] = MappingProxyType({
    1008: "fatal", 1013: "retry", 3005: "retry", 3006: "fatal", 3007: "fatal", 3008: "reopen", 3009: "retry",
    4001: "fatal", 4002: "fatal", 4003: "fatal", 4008: "reopen", 4029: "retry", 4031: "reopen",
    4100: "fatal", 4101: "fatal", 4102: "retry", 4103: "reopen",
})  # fmt: skip

_TOO_MANY = "too many concurrent sessions"
"""Comes with the code of a bad key, too, and passes."""


class AssemblyFailures(Failures):
    """What the vendor's codes mean: of a close, or of the error that precedes it."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(name, key, closes=_CODES)

    def on_close(self, code: int, reason: str) -> ProviderError | None:
        """What a close means, where its reason says more than its code."""
        if _TOO_MANY in reason.lower():
            return self.make(f"the connection was closed: {code} {reason}")
        return None

    def from_message(self, data: Mapping[str, Any]) -> ProviderError:
        """An ``Error`` message."""
        code, reason = data.get("error_code"), as_text(data.get("error")) or "an error"
        fault: ProviderFault = _CODES.get(code, "retry") if isinstance(code, int) else "retry"
        return self.make(
            f"{code} {reason}" if is_amount(code) else reason, fault="retry" if self._many(reason) else fault
        )

    @staticmethod
    def _many(reason: str) -> bool:
        return _TOO_MANY in reason.lower()


WORDLESS = 0.3
"""Seconds of audio behind the last word of a turn that ended, in which there is no other word: the vendor's own silence
of 0.1 s, and the time that our voice detector takes for a pause."""


class TurnDialect:
    """Binary audio and JSON commands out, JSON in (see `callengine.providers.stt.streaming`).

    The vendor's turns are segments of an utterance: a pause may end one, and the caller goes on in the next. With
    ``judges`` such an end is the utterance's, with the hint ``end``. Pauses are sent, too: they cost nothing, and the
    newer models tell only there what they have understood. With ``formats``, each turn ends twice, and counts the
    second time.
    """

    hears_pauses = True
    ready = True
    keep_alive = KEEP_ALIVE

    def __init__(self, sample_rate: int, failures: AssemblyFailures, *, judges: bool, formats: bool) -> None:
        self.audio_format = AudioFormat("mulaw" if sample_rate == 8000 else "l16", sample_rate)
        self._failures = failures
        self._judges = judges
        self._formats = formats
        self._timeline = Timeline(sample_rate)
        self._held = b""
        """Audio that is too short for a message."""
        self._asked: int | None = None
        """The utterance for which ``ForceEndpoint`` was sent, and was not answered."""
        self._judged = False
        """A turn has ended since the caller fell silent, and nothing was heard since."""
        self._of: tuple[float, int | None] = (-1.0, None)
        """The present turn's number, and whose it is."""
        self._over = -1.0
        """The number of the last turn that ended."""
        self._heard_to = -inf
        """Where its last word ended, in seconds of the connection's audio."""

    @property
    def settle(self) -> float:
        """See `Dialect.settle`."""
        return JUDGED if self._judged else UNANSWERED

    def opening(self) -> Sent:
        """See `Dialect.opening`."""
        return ()

    def start(self) -> Sent:
        """See `Dialect.start`."""
        self._held = b""
        self._judged = False
        self._asked = None
        self._timeline.begin()
        return ()

    def audio(self, pcm: Pcm) -> Sent:
        """See `Dialect.audio`. Nothing until there is enough for a message."""
        self._held += from_pcm(pcm, self.audio_format.encoding)
        seconds = self.audio_format.seconds(len(self._held))
        if seconds < SHORTEST:
            return ()
        return self._parts(ceil(seconds / LONGEST))

    def pause(self) -> Sent:
        """See `Dialect.pause`: it hears the pause itself, and may have ended its turn before we knew of the pause."""
        self._judged = self._judged and self._timeline.position - self._heard_to < WORDLESS
        return ()

    def end(self) -> Sent:
        """See `Dialect.end`. The last of the audio is made long enough with silence."""
        sent: list[str | bytes] = []
        if self._held:
            self._held = self._held.ljust(self._bytes(SHORTEST), SILENCE[self.audio_format.encoding][:1])
            sent += self._parts(1)
        self._timeline.end()
        self._asked = self._timeline.spans[-1].index if self._timeline.spans else None
        return (*sent, '{"type":"ForceEndpoint"}')

    def still_here(self) -> Sent:
        """See `Dialect.still_here`: silence, which every edition of the interface takes, and which costs nothing."""
        self._held += SILENCE[self.audio_format.encoding] * round(2 * SHORTEST * self.audio_format.sample_rate)
        return self._parts(1)

    def bye(self) -> Sent:
        """See `Dialect.bye`: a session that is not ended is billed on."""
        return ('{"type":"Terminate"}',)

    def cost(self, seconds: float) -> Usage | None:
        """See `Dialect.cost`: not the audio is billed, but the session."""
        del seconds
        return None

    def _bytes(self, seconds: float) -> int:
        return round(seconds * self.audio_format.sample_rate) * self.audio_format.sample_width

    def _parts(self, count: int) -> Sent:
        """What is held, in so many messages of about the same length."""
        width = self.audio_format.sample_width
        samples = len(self._held) // width
        bounds = [samples * part // count * width for part in range(count + 1)]
        parts = tuple(self._held[start:end] for start, end in pairwise(bounds))
        self._timeline.sent(samples)
        self._held = b""
        return parts

    def feed(self, message: str | bytes) -> Sequence[Heard]:
        """See `Dialect.feed`."""
        data = json_object(message)
        match data.get("type"):
            case "Turn":
                return self._turn(data)
            case "SpeechStarted":
                self._judged = False
            case "Error":
                raise self._failures.from_message(data)
            case _:
                pass
        return ()

    def _turn(self, data: Mapping[str, Any]) -> Sequence[Heard]:
        number = data.get("turn_order")
        order = float(number) if is_amount(number) else self._over + 1
        if order <= self._over:
            return ()  # its end again, in other words
        of = self._whose(order, data)
        text = as_text(data.get("transcript"))
        over = data.get("end_of_turn") is True and (not self._formats or data.get("turn_is_formatted") is True)
        if not over:
            self._judged = False
            words = [as_text(as_object(word).get("text")) for word in as_list(data.get("words"))]
            return (Words((" ".join(filter(None, words)) or text).rstrip("— "), False, of),)
        self._over, self._judged = order, True
        until = as_object((as_list(data.get("words")) or [None])[-1]).get("end")
        self._heard_to = until / 1000 if is_amount(until) else -inf
        heard: list[Heard] = [Words(text, True, of)]
        if self._asked is None or (of is not None and of < self._asked):
            return [*heard, Finished("end", of)] if self._judges and not self._has_ended(of) else heard
        if self._is_answer(data):
            self._asked = None
            heard.append(Finished(of=of))
        return heard  # an end that was on its way already: the answer may follow, or nothing

    def _has_ended(self, of: int | None) -> bool:
        return any(span.index == of and span.end < inf for span in self._timeline.spans)

    def _is_answer(self, data: Mapping[str, Any]) -> bool:
        """Whether the caller spoke nearly up to the end of the utterance: no silence can have ended this turn."""
        words = as_list(data.get("words"))
        until = as_object(words[-1]).get("end") if words else None
        return is_amount(until) and self._timeline.spans[-1].end < until / 1000 + JUDGED

    def _whose(self, order: float, data: Mapping[str, Any]) -> int | None:
        """The utterance that this turn is of, by the times of its words; of a final without any, by those before."""
        if self._of[0] == order:
            return self._of[1]
        words = [as_object(word) for word in as_list(data.get("words"))]
        if not words:
            return None
        start, end = words[0].get("start"), words[-1].get("end")
        if not is_amount(start) or not is_amount(end):
            return None
        span = self._timeline.whose(start / 1000, end / 1000)
        self._of = (order, None if span is None else span.index)
        return self._of[1]
