"""What the demo's caller says, and what must come of it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import TypeAlias

import attrs
import numpy as np

from callengine.audio import MULAW, Pcm, read_wav
from callengine.errors import AudioError
from callengine.testing.demo.line import RATE, through_the_band

Words: TypeAlias = tuple[tuple[str, ...], ...]
"""Words that must have come, in this order; of each, any of the variants."""

GREETING: Words = (("how can i help",),)
"""What the agent says first."""

BREATH_GAP = 0.06
"""Seconds between recordings that are said in one breath: with the silence at their ends it stays well below the VAD's
0.32 s."""


@attrs.frozen(kw_only=True)
class Line:
    """Something the caller says, in recordings of one voice: a turn."""

    text: str
    recordings: tuple[str, ...]
    recognised: Words
    """What the engine must have understood. Recognisers spell numbers, and hear little words, as they like."""
    answer: Words
    """What the agent must have set out to say to that."""
    pauses: tuple[float, ...] = ()
    """Seconds that he pauses between the recordings, as people do who dictate; empty: all in one breath."""
    cuts_in_after: float | None = None
    """Seconds into the agent's words at which the caller cuts in; None: he waits until it is his turn."""

    @property
    def pieces(self) -> int:
        """How many there are with pauses between them."""
        return 1 + sum(pause > BREATH_GAP for pause in self.pauses)

    def speech(self) -> bytes:
        """The line as the telephone carries it: mu-law at 8 kHz."""
        return _spoken(self.recordings, self.pauses or (BREATH_GAP,) * (len(self.recordings) - 1))


@attrs.frozen(kw_only=True)
class Backchannel:
    """Something the caller says while he listens, which means "go on", and is no turn."""

    text: str
    recording: str
    recognised: Words
    after: float
    """Seconds into the agent's words."""

    def speech(self) -> bytes:
        """The words as the telephone carries them: mu-law at 8 kHz."""
        return _spoken((self.recording,), ())


Script: TypeAlias = Sequence[Line | Backchannel]
"""What the caller says in a call, in order. A backchannel comes into the answer to the line before it."""


def _spoken(recordings: tuple[str, ...], pauses: tuple[float, ...]) -> bytes:
    pieces = [_recording(recordings[0])]
    for pause, name in zip(pauses, recordings[1:], strict=True):
        pieces += [np.zeros(round(pause * RATE), np.int16), _recording(name)]
    return MULAW.encode(through_the_band(np.concatenate(pieces)))


def _recording(name: str) -> Pcm:
    with as_file(files("callengine.testing.demo") / "voices" / f"{name}.wav") as path:
        pcm, rate = read_wav(path)
    if rate != RATE:
        raise AudioError(f"{path} has {rate} Hz: the demo's recordings are made at {RATE}")
    return pcm


LINES: Script = (
    Line(
        text="Hi, I would like to book a table for four people this Friday at half past seven.",
        recordings=("am_michael_book",),
        recognised=(("book", "table"), ("four", "for"), ("friday",), ("half past seven", "7 30", "half a seven")),
        answer=(("four people",), ("friday",), ("half past seven",)),
    ),
    Line(
        text="Sorry, actually, make it six people.",
        recordings=("am_michael_six",),
        recognised=(("make it", "actually"), ("six", "6")),
        answer=(("six people",), ("name",)),
        cuts_in_after=2.6,
    ),
    Line(
        text="It is under the name Harrison.",
        recordings=("am_michael_harrison",),
        recognised=(("harrison", "harryson", "harris on"),),
        answer=(("phone number",),),
    ),
    Line(
        text="Nine eight seven ... five five five, zero one ... four two.",
        recordings=(
            "am_michael_nine_eight_seven",
            "am_michael_five_five_five",
            "am_michael_zero_one",
            "am_michael_four_two",
        ),
        pauses=(0.7, BREATH_GAP, 0.85),
        recognised=(("9 8 7 5 5 5 0 1 4 2",),),
        answer=(("six people",), ("friday",), ("half past seven",), ("harrison",), ("9 8 7 5 5 5 0 1 4 2",)),
    ),
    Line(
        text="Yes, please.",
        recordings=("am_michael_yes_please",),
        recognised=(("yes", "yeah"),),
        answer=(("thank you", "thanks"), ("anything else",)),
    ),
    Line(
        text="How much is the tasting menu for a party of six?",
        recordings=("am_michael_price",),
        recognised=(("how much",), ("menu",)),
        answer=(("tasting menu",), ("forty five", "45"), ("anything else",)),
    ),
    Backchannel(text="Okay.", recording="am_michael_okay", recognised=(("okay", "ok"),), after=1.5),
    Line(
        text="No, thank you. Thanks, goodbye.",
        recordings=("am_michael_no_thank_you", "am_michael_goodbye"),
        recognised=(("thank you",), ("goodbye", "good bye", "good by", "bye")),
        answer=(("goodbye",),),
    ),
)
