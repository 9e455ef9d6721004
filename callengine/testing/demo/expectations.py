"""Whether a demo call went as it should: words, order and events, from the engine's own journal; never times."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from callengine.journal import Record
from callengine.outcome import Turn
from callengine.records.turns import turns_of
from callengine.testing.demo.script import GREETING, LINES, Line, Words

_DIGITS = {
    word: str(digit)
    for digit, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
} | {"oh": "0"}


@attrs.frozen
class Check:
    """Something that was expected, whether it came, and what there was."""

    expected: str
    held: bool
    found: str


def check_call(records: Sequence[Record], lines: Sequence[Line] = LINES) -> list[Check]:
    """Everything that was expected of a call in which these lines were said."""
    turns = {turn.number: turn for turn in turns_of(records)}
    greeting = turns.get(0)
    checks = [_greeted(greeting)]
    for number, line in enumerate(lines, start=1):
        turn = turns.get(number)
        if turn is None:
            checks.append(Check(f"understood: “{line.text}”", False, "there was no such turn"))
            continue
        checks.append(_recognised(line, turn))
        checks.append(_answered(line, turn))
        if line.cuts_in_after is not None:
            checks.append(_cut_in(records, turns[number - 1], number - 1))
    extra = [turn.caller for number, turn in sorted(turns.items()) if number > len(lines)]
    checks.append(Check("each line of the caller was one turn", not extra, f"there were more: {extra}"))
    checks.append(_ended(records))
    return checks


def fits(words: Words, text: str) -> bool:
    """Whether the text has these words in this order: of each, any of the variants. Case, punctuation and whether
    digits are spelt out do not matter."""
    rest = f" {_plain(text)} "
    for variants in words:
        places = [rest.find(f" {_plain(variant)} ") for variant in variants]
        ends = [place + len(_plain(v)) + 1 for place, v in zip(places, variants, strict=True) if place >= 0]
        if not ends:
            return False
        rest = rest[min(ends) :]
    return True


def _plain(text: str) -> str:
    words = re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))
    return " ".join(_DIGITS.get(word, word) for word in words)


def _greeted(turn: Turn | None) -> Check:
    heard = "" if turn is None else turn.heard
    held = turn is not None and turn.complete and fits(GREETING, heard)
    return Check("the agent greets, and is heard out", held, heard or "silence")


def _recognised(line: Line, turn: Turn) -> Check:
    return Check(f"understood: “{line.text}”", fits(line.recognised, turn.caller), turn.caller)


def _answered(line: Line, turn: Turn) -> Check:
    wanted = ", ".join(variants[0] for variants in line.answer)
    return Check(f"answered: {wanted}", fits(line.answer, turn.said), turn.said or "silence")


def _cut_in(records: Sequence[Record], turn: Turn, number: int) -> Check:
    """The reply to a turn was cut by the caller: by his speech, with a clear on the wire, and half heard."""
    cuts = [record.data for record in records if record.kind == "barge_in"]
    cut = {data["utterance"] for data in cuts if data["turn"] == number}
    cleared = {record.data["utterance"] for record in records if record.kind == "clear.sent"}
    half = bool(turn.heard) and len(turn.heard) < len(turn.said)
    held = bool(cut & cleared) and turn.interrupted_by == "caller" and half
    return Check(
        "the agent falls silent when the caller cuts in",
        held,
        f"heard “{turn.heard}” of “{turn.said}”, cut by {turn.interrupted_by or 'nobody'}, {len(cut & cleared)} clear",
    )


def _ended(records: Sequence[Record]) -> Check:
    ended = next((record.data for record in records if record.kind == "call.ended"), None)
    found = "the journal breaks off" if ended is None else f"ended by {ended['ended_by']}: {ended['reason']}"
    return Check("the agent hangs up", ended is not None and ended["ended_by"] == "agent", found)
