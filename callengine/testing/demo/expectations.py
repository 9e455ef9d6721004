"""Whether a demo call went as it should: words, order and events, from the engine's own journal; never times."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from callengine.journal import Record
from callengine.outcome import Turn
from callengine.records.turns import turns_of
from callengine.testing.demo.figures import pieces_of
from callengine.testing.demo.script import GREETING, LINES, Backchannel, Line, Script
from callengine.testing.demo.words import fits


@attrs.frozen
class Check:
    """Something that was expected, whether it came, and what there was."""

    expected: str
    held: bool
    found: str


def check_call(records: Sequence[Record], lines: Script = LINES) -> list[Check]:
    """Everything that was expected of a call in which these lines were said."""
    turns = {turn.number: turn for turn in turns_of(records)}
    checks = [_greeted(turns.get(0))]
    number = 0
    """Of the turn that the last line made."""
    for line in lines:
        if isinstance(line, Backchannel):
            checks.append(_carried_on(records, line, turns.get(number), number))
            continue
        number += 1
        checks += _turn(records, line, turns, number)
    extra = [turn.caller for turn in turns.values() if turn.number > number]
    checks.append(Check("each line of the caller was one turn", not extra, f"there were more: {extra}"))
    checks.append(_ended(records))
    return checks


def _greeted(turn: Turn | None) -> Check:
    heard = "" if turn is None else turn.heard
    held = turn is not None and turn.complete and fits(GREETING, heard)
    return Check("the agent greets, and is heard out", held, heard or "silence")


def _turn(records: Sequence[Record], line: Line, turns: dict[int, Turn], number: int) -> list[Check]:
    turn = turns.get(number)
    if turn is None:
        return [Check(f"understood: “{line.text}”", False, "there was no such turn")]
    checks = [_recognised(line, turn)]
    if line.pauses:
        checks.append(_heard_out(records, line, number))
    checks.append(_answered(line, turn))
    if line.cuts_in_after is not None:
        checks.append(_cut_in(records, turns[number - 1], number - 1))
    return checks


def _recognised(line: Line, turn: Turn) -> Check:
    return Check(f"understood: “{line.text}”", fits(line.recognised, turn.caller), turn.caller)


def _heard_out(records: Sequence[Record], line: Line, number: int) -> Check:
    """What was said with pauses came in as many pieces, and the agent said nothing until the turn was over."""
    pieces = pieces_of(records, number)
    began = _place(records, "speech.started", utterance=min(pieces, default=0))
    over = _place(records, "turn.ended", turn=number)
    spoke = any(record.kind == "reply.audible" for record in records[began:over])
    continues = records[over].data.get("continues", False)
    said = "the agent spoke into it" if spoke else "it went on with the turn before" if continues else ""
    found = f"{len(pieces)} pieces{said and f'; {said}'}"
    expected = f"heard out, in {line.pieces} pieces: “{line.text}”"
    return Check(expected, len(pieces) >= line.pieces and not said, found)


def _place(records: Sequence[Record], kind: str, **data: int) -> int:
    """Where the record of this kind with these data stands; behind the last where there is none."""
    for place, record in enumerate(records):
        if record.kind == kind and all(record.data[name] == value for name, value in data.items()):
            return place
    return len(records)


def _answered(line: Line, turn: Turn) -> Check:
    wanted = ", ".join(variants[0] for variants in line.answer)
    return Check(f"answered: {wanted}", fits(line.answer, turn.said), turn.said or "silence")


def _carried_on(records: Sequence[Record], line: Backchannel, turn: Turn | None, number: int) -> Check:
    """The caller's words into the reply to a turn were understood, and let pass: it was heard to its end."""
    first, last = _place(records, "reply.started", turn=number), _place(records, "reply.ended", turn=number)
    during = records[first:last]
    words = [record.data["text"] for record in during if record.kind == "transcript" and record.data["final"]]
    understood = any(fits(line.recognised, text) for text in words)
    passed = any(r.kind == "decision" and r.data["what"] == "no turn: backchannel" for r in during)
    whole = turn is not None and turn.complete and turn.heard == turn.said
    heard = "nothing" if turn is None else f"“{turn.heard}” of “{turn.said}”"
    found = f"understood {words}, {'' if passed else 'not '}as a backchannel; heard {heard}"
    return Check(f"the agent carries on, and is heard out: “{line.text}”", understood and passed and whole, found)


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
