"""What happens in each call: a script made from a seed, the same for every variant that is compared."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import attrs

from benchmarks.turns.sounds import NOISES
from benchmarks.turns.voices import Clip, callers

VOICES = ("am_michael", "bf_emma", "bm_george", "af_nova")
LINES = ("quiet", "echo", "noisy", "quiet")
"""The line of each of a voice's calls: a quarter has an echo of the agent, a quarter noise."""

Group: TypeAlias = Literal["finished", "two sentences", "unfinished", "people", "dictated"]
IntrusionKind: TypeAlias = Literal["interruption", "backchannel", "noise"]

FINISHED = (
    *("book", "change", "cancel", "hours", "menu", "where", "price", "person", "long"),
    *("yes", "no", "okay", "thanks", "bye", "again"),
)
INTERRUPTING = ("cut", "cut", "cut", "book", "menu", "where", "hours")
BACKCHANNELS = ("back", "back", "back", "back", "back", "yes", "okay")
NO_BACKCHANNELS = ("Yes, please.", "Yeah, that works.")
"""Lines of these kinds that are answers."""
NOISES_A_CALL = 2

ORDINARY = 14
"""Finished lines in a call."""
UNFINISHED = 4
"""Turns with an unfinished beginning in a call: a fifth of all turns, with those of the people's calls."""
DICTATED = ("phone", "email", "spelling", "date")
"""What is dictated in each call, once each."""

UNFINISHED_PAUSE = (0.3, 1.5)
SENTENCE_PAUSE = (0.2, 0.7)
"""Seconds between two sentences of a turn. The synthesiser makes 0.9; people who go on pause less."""
DICTATED_PAUSE = (0.3, 1.2)
BEFORE_TURN = (0.4, 1.2)
"""Seconds of silence between the agent's last word and the caller's first."""
INTO_REPLY = (0.4, 4.0)
"""Seconds into the agent's reply at which something happens."""


@attrs.frozen
class Turn:
    """Something that the caller says when it is his turn: pieces with pauses between them (seconds)."""

    group: Group
    kind: str
    pieces: tuple[Clip, ...]
    pauses: tuple[float, ...]
    waits: float
    """Seconds of silence before it."""


@attrs.frozen
class Intrusion:
    """Something on the caller's line while the agent speaks."""

    kind: IntrusionKind
    sound: Clip
    into: float
    """Seconds after the agent became audible."""


@attrs.frozen
class Exchange:
    """The caller's turn, the agent's answer to it, and perhaps what happens during that."""

    turn: Turn
    asks: str = ""
    """What the agent asks at the end of its answer: what the caller dictates next."""
    intrusion: Intrusion | None = None


@attrs.frozen
class Line:
    """A telephone line. Levels in dB: ``noise`` and ``voice`` relative to full scale and to the recording, ``echo``
    relative to the agent's audio, which comes back ``echo_delay`` seconds late; None: no echo."""

    kind: str
    noise: float
    voice: float
    echo: float | None = None
    echo_delay: float = 0.0


@attrs.frozen
class CallScript:
    """A whole call."""

    number: int
    voice: str
    line: Line
    exchanges: tuple[Exchange, ...]
    seed: int


def calls(seed: int = 0) -> list[CallScript]:
    """Every call of the benchmark. The first two are a tenth of it, of two voices on two kinds of line."""
    scripts = [
        _call(len(VOICES) * round_ + index, voice, LINES[(round_ + index) % len(LINES)], seed)
        for round_ in range(len(LINES))
        for index, voice in enumerate(VOICES)
    ]
    return [*scripts, *_people(len(scripts), seed)]


def _call(number: int, voice: str, line: str, seed: int) -> CallScript:
    chance = random.Random(f"{seed} {number}")
    clips = _Clips(voice, chance)
    turns = [_plain(clips.any(FINISHED), "finished", chance) for _ in range(ORDINARY)]
    turns.append(_two_sentences(clips, chance))
    turns += [_unfinished(clips, chance, number * UNFINISHED + index) for index in range(UNFINISHED)]
    chance.shuffle(turns)
    exchanges = [Exchange(turn) for turn in turns]
    for kind in DICTATED:  # each behind an answer that ends with the question for it
        place = chance.randrange(len(exchanges))
        while exchanges[place].asks:
            place = chance.randrange(len(exchanges))
        exchanges[place] = attrs.evolve(exchanges[place], asks=kind)
        exchanges.insert(place + 1, Exchange(_dictated(kind, clips, chance)))
    return CallScript(number, voice, _line(line, chance), tuple(_intrude(exchanges, clips, chance)), seed)


def _people(number: int, seed: int) -> Iterator[CallScript]:
    """People's recordings, each on a quiet and on a noisy line."""
    for voice in ("cards", "librivox"):
        for line in ("quiet", "noisy"):
            chance = random.Random(f"{seed} {voice} {line}")
            clips = [clip for clip in callers() if clip.voice == voice]
            turns = [_plain(clip, "people", chance) for clip in clips]
            yield CallScript(number, voice, _line(line, chance), tuple(Exchange(turn) for turn in turns), seed)
            number += 1


class _Clips:
    """One voice's clips, each kind shuffled and dealt out round and round, so that none comes twice too soon."""

    def __init__(self, voice: str, chance: random.Random) -> None:
        self._kinds: dict[str, list[Clip]] = {}
        for clip in callers():
            if clip.voice == voice:
                self._kinds.setdefault(clip.kind, []).append(clip)
        self._chance = chance
        self._decks: dict[Sequence[str], list[Clip]] = {}

    def any(self, kinds: Sequence[str]) -> Clip:
        """The next of these kinds."""
        deck = self._decks.setdefault(tuple(kinds), [])
        if not deck:
            deck += [clip for kind in kinds for clip in self._kinds[kind]]
            if kinds == BACKCHANNELS:
                deck[:] = [clip for clip in deck if clip.text not in NO_BACKCHANNELS]
            self._chance.shuffle(deck)
        return deck.pop()

    def nth(self, kind: str, index: int) -> Clip:
        """One of a kind, in the order of the recordings."""
        return self._kinds[kind][index % len(self._kinds[kind])]


def _plain(clip: Clip, group: Group, chance: random.Random) -> Turn:
    return Turn(group, clip.kind, (clip,), (), chance.uniform(*BEFORE_TURN))


def _two_sentences(clips: _Clips, chance: random.Random) -> Turn:
    kind = chance.choice(("book", "change", "again"))
    pieces = (clips.nth(f"{kind}/1", 0), clips.nth(f"{kind}/2", 0))
    return Turn("two sentences", kind, pieces, (chance.uniform(*SENTENCE_PAUSE),), chance.uniform(*BEFORE_TURN))


def _unfinished(clips: _Clips, chance: random.Random, index: int) -> Turn:
    """The same number of a beginning and of a rest fit each other."""
    pieces = (clips.nth("prefix", index), clips.nth("rest", index))
    return Turn("unfinished", "prefix", pieces, (chance.uniform(*UNFINISHED_PAUSE),), chance.uniform(*BEFORE_TURN))


def _dictated(kind: str, clips: _Clips, chance: random.Random) -> Turn:
    if kind == "phone":
        pieces = tuple(clips.any(("number",)) for _ in range(4))
    else:
        source = {"email": "email", "spelling": "spell", "date": "date"}[kind]
        pieces = (clips.nth(source, 0), clips.nth(source, 1))
    pauses = tuple(chance.uniform(*DICTATED_PAUSE) for _ in pieces[1:])
    return Turn("dictated", kind, pieces, pauses, chance.uniform(*BEFORE_TURN))


def _intrude(exchanges: list[Exchange], clips: _Clips, chance: random.Random) -> Iterator[Exchange]:
    """Let something happen in as many answers as can have it: one with a question is heard out."""
    free = sum(not exchange.asks for exchange in exchanges)
    spoken = free - NOISES_A_CALL
    counts: dict[IntrusionKind, int] = {
        "interruption": spoken // 2,
        "backchannel": spoken - spoken // 2,
        "noise": NOISES_A_CALL,
    }
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    chance.shuffle(kinds)
    for exchange in exchanges:
        if exchange.asks:
            yield exchange
            continue
        kind = kinds.pop()
        sound = {
            "interruption": lambda: clips.any(INTERRUPTING),
            "backchannel": lambda: clips.any(BACKCHANNELS),
            "noise": lambda: chance.choice(NOISES)(chance),
        }[kind]()
        yield attrs.evolve(exchange, intrusion=Intrusion(kind, sound, chance.uniform(*INTO_REPLY)))


def _line(kind: str, chance: random.Random) -> Line:
    voice = chance.uniform(-6, 0)
    noise = chance.uniform(-70, -60)
    if kind == "noisy":
        noise = SPEECH + voice - chance.uniform(15, 20)
    if kind == "echo":
        return Line(kind, noise, voice, echo=-18.0, echo_delay=chance.uniform(0.1, 0.25))
    return Line(kind, noise, voice)


SPEECH = -22.5
"""dBFS of the recordings' speech."""
