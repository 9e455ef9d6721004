"""The journal: what crossed a call's edges and what was decided, as records with a version.

It is the only set of books: the live view, the transcript, the latency table, the recording and the timeline are all
made from these records. Times are seconds since the call's stream started, on the engine's clock; wall time appears
once, as a label on the first record.

Kinds and their data (``t`` is the time of the record itself; every other time is on the same scale). Behind a semicolon
stands what is not in every record of the kind:

====================== =============================================================================================
``call.started``       call_id, carrier, direction, caller, callee (numbers masked), wall_time (ISO 8601), engine_time
                       (the engine's clock at t=0), encoding, sample_rate, agent (``llm``, ``flow``, ``story``)
``media.received``     position (first sample), audio (bytes in the stream's encoding; base64 in a file); the kind is
                       written with the audio setting only
``vad.probability``    position (first sample after the window), probability; with the audio setting only
``media.sent``         utterance, position (first sample of the utterance; lower than before after a pause), samples,
                       mark, playout (when the carrier is expected to play its first sample); audio (base64, as loud as
                       it was sent; with the audio setting)
``mark.echoed``        mark, status (``played``, ``cleared``, ``unknown``)
``clear.sent``         utterance, position (samples of it that had been played, by marks and clock); what was sent of it
                       up to here is thrown away
``speech.started``     utterance, onset
``speech.paused``      utterance
``speech.resumed``     utterance
``speech.stopped``     utterance, ended
``transcript``         utterance, text, final
``transcript.second``  provider, utterance, text, final (of the recogniser that listens for comparison)
``turn.verdict``       utterance, probability (of a turn detector, that the caller has finished)
``turn.hint``          utterance, hint (of a recogniser that judges turns: ``eager``, ``end``, ``resumed``)
``turn.ended``         turn, utterance (the turn's last; None for keys), text (keys as bullets), speech_ended (None
                       where only a transcript told of it, and for keys), reason; of words: continues (whether it goes
                       on with the turn before, whose answer is withdrawn), guessed (whether its answer was begun
                       already); of keys: keyed (true)
``false_interruption`` turn, utterance (the agent's), onset, backchannel (whether it was "mm-hm" or the like), reason
``barge_in``           turn, utterance (the agent's), onset, trigger (``speech``, ``transcript``, ``dtmf``); the
                       reason is in the decision to ``cut``
``reply.started``      turn (the newest when it began: a guess's is the one before), utterance
``reply.token``        turn (first text of the reply arrived)
``reply.text``         turn, utterance, text (a sentence that is to be said)
``reply.audio``        turn, utterance (first synthesised audio arrived)
``reply.audible``      utterance (first audio left for the carrier)
``reply.budget``       turn, utterance, seconds (that its first audio might take), spent (seconds, by who was waited
                       for)
``reply.ducked``       utterance (from here on more quiet)
``reply.paused``       utterance, position (samples of it that had been heard, by marks and clock); with a
                       ``clear.sent`` where anything of it was on the line
``reply.resumed``      utterance, position (where it goes on), repeated_ms (what of it plays again; 0 after ducking)
``reply.ended``        turn, utterance, said, heard, complete, interrupted_by, certainty
``tool.started``       turn, tool (its name; arguments and results are written nowhere), commit (whether it is run to
                       its end whatever happens)
``tool.ended``         turn, tool, state (``done``, ``failed``, ``cancelled``), ok (whether it is ``done``), seconds
``tool.refused``       turn, tool (as the model named it), reason (``unknown``: there is no such tool, ``arguments``:
                       they do not fit it); it was not run
``decision``           what (see below), reason (one line, for people)
``dtmf``               digit (``•`` unless digits are asked for)
``dtmf.sent``          digits (as bullets)
``hold``               on (whether the caller is on hold from here on)
``transfer``           target (masked), how (``transferred to``, ``referred to``, ``joined with``; it is being tried)
``recording``          recording (the carrier's name for it), on (whether it goes on from here)
``message.sent``       message (the carrier's name for it), to (masked)
``mark``               name, status (the application's own marks: ``played``, ``cleared``, ``lost``)
``provider.failed``    role (``stt``, ``llm``, ``tts``, ``turn_detection``), provider, message
``provider.ready``     role, provider
``provider.ended``     role, provider, message (a session came to its ordinary end; another one is opened)
``provider.switched``  role, provider (which the call is with from here on), before
``usage``              turn (the newest when it became known, or the one that a guess is about), role, provider; model,
                       input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, characters,
                       seconds, estimated (figures that are nothing are left out)
``usage.wasted``       turn, role, provider (of what has a ``usage`` already: this was for nothing); model,
                       input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, characters,
                       seconds, estimated
``media.bad``          problem, detail (the first twenty of a kind; all are counted in the outcome)
``call.ended``         ended_by, reason
====================== =============================================================================================

What is decided:

- while somebody speaks into the agent's words: ``pause``, ``duck``, ``carry on``, ``cut``; of a reply that nobody has
  heard yet: ``drop``; after a cut for nothing: ``say the rest``;
- of words that are not answered: ``no turn: artefact``, ``no turn: backchannel``, ``no turn: duplicate``,
  ``no turn: echo``, ``no turn: late``, ``no turn: too short``; where no words came: ``ask again``;
- of answers that are begun early: ``guess``, ``take back the guess``;
- while nothing is said: ``fill``, ``ask whether the caller is there``, ``announce the end``, ``say goodbye``;
- of keys: ``begin the entry again``; of the line: ``echo``; of a dialogue: ``flow``;
- of the leg: ``hang up``, ``close the socket``, ``dismiss the program``;
- where something fails: ``apologise``, ``end the reply``, ``end without a word``, ``ask the other strategies``,
  ``go on without the turn detector``, ``go on without the denoiser``, ``go on without echo cancellation``.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs
import trio

VERSION = 1
"""Of the record format; in every line of a file."""

FACTS_KEPT = 10_000
"""Records kept in memory for one call: hours of lively talk; the oldest go first, and are counted."""

BILLS = ("usage", "usage.wasted")
"""Kinds that money is counted by. They are kept apart, so that nothing pushes them out but a call of thousands of
turns."""

AUDIO = ("media.received", "vad.probability")
"""Kinds that only a file is for."""

TRAFFIC = ("media.sent", "mark.echoed")
"""Kinds that come twenty times a second while the agent speaks. They are kept apart, so that they push out nothing."""

TRAFFIC_KEPT = 2_000
"""Of those: the last minutes of the agent's speech (half a megabyte a call)."""


@attrs.frozen
class Record:
    """One line of the books."""

    call_id: str
    t: float
    kind: str
    data: dict[str, Any]

    def to_json(self) -> str:
        """One line, without the newline."""
        line = {"v": VERSION, "t": round(self.t, 6), "kind": self.kind, **self.data}
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=_base64)


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    raise TypeError(f"a record holds a {type(value).__name__}: only plain data and bytes can be written")


@attrs.frozen
class JournalSettings:
    """What is written down.

    ``audio`` adds every frame both ways and every VAD probability; ``directory`` writes each call's records to
    ``<directory>/<call id>.jsonl``; ``digits`` shows DTMF digits in clear (they may be PINs and card numbers).
    """

    audio: bool = False
    directory: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    digits: bool = False


class Journal:
    """The books of one call: kept in memory, and handed to whoever watches."""

    def __init__(
        self, call_id: str, settings: JournalSettings, *, watchers: Iterable[Callable[[Record], None]] = ()
    ) -> None:
        self.call_id = call_id
        self.settings = settings
        self.started_at = trio.current_time()
        self.dropped = 0
        """Records that the memory's bound pushed out, but for traffic."""
        self._facts: deque[tuple[int, Record]] = deque(maxlen=FACTS_KEPT)
        self._traffic: deque[tuple[int, Record]] = deque(maxlen=TRAFFIC_KEPT)
        self._bills: deque[tuple[int, Record]] = deque(maxlen=FACTS_KEPT)
        self._written = 0
        self._watchers = tuple(watchers)

    def note(self, kind: str, /, **data: Any) -> None:
        """Write a record, now."""
        record = Record(self.call_id, trio.current_time() - self.started_at, kind, data)
        self._written += 1
        if kind in TRAFFIC:
            self._traffic.append((self._written, record))
        elif kind in BILLS:
            self.dropped += len(self._bills) == FACTS_KEPT
            self._bills.append((self._written, record))
        elif kind not in AUDIO:
            self.dropped += len(self._facts) == FACTS_KEPT
            self._facts.append((self._written, record))
        for watch in self._watchers:
            watch(record)

    def time(self, moment: float) -> float:
        """A moment of the engine's clock as a journal time, for the data of a record."""
        return round(moment - self.started_at, 6)

    def __iter__(self) -> Iterator[Record]:
        """The records in memory, in the order in which they were written."""
        return iter([record for _, record in merge(self._facts, self._traffic, self._bills, key=itemgetter(0))])

    def of(self, *kinds: str) -> list[Record]:
        """The records of these kinds, in order."""
        return [record for record in self if record.kind in kinds]


def read_journal(path: Path) -> list[Record]:
    """The records of a file, in order. A last line that was cut off by a crash is left out."""
    records: list[Record] = []
    call_id = ""
    for line in path.read_text(encoding="utf-8").split("\n"):  # splitlines would split at U+2028 inside a word
        try:
            data = json.loads(line)
        except ValueError:
            break
        kind, t = data.pop("kind"), data.pop("t")
        data.pop("v")
        call_id = data.get("call_id", call_id)
        records.append(Record(call_id, t, kind, data))
    return records
