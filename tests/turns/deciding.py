"""A shorthand for tests of turn-taking: what the VAD and the others would say, and what is decided when."""

from __future__ import annotations

import math
from collections.abc import Iterable

from callengine.events import (
    Fact,
    ReplyAudible,
    ReplyClosed,
    ReplyOpened,
    ReplyText,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSteady,
    SpeechStopped,
    SpeechWavers,
    Transcript,
)
from callengine.turns.actions import (
    Action,
    AskAgain,
    CarryOn,
    Complain,
    Cut,
    Discard,
    Drop,
    EndTurn,
    FalseInterruption,
    Guess,
    Hold,
    Release,
    SayRest,
    Soften,
    TakeBack,
)
from callengine.turns.confirmation import MinDuration, MinWords, StopWords
from callengine.turns.settings import Endpointing, Interruption, TurnSettings
from callengine.turns.turn_taking import TurnTaker

Row = tuple[float, str]


def interruption(mode="pause", **changes) -> Interruption:
    """Rules of interruption whose times are easy to tell apart, whatever the defaults are; in ``pause`` and ``duck``
    mode any word confirms at once."""
    given = {"min_duration": 0.2, "guard": 0.3, "window": 1.5, "answer_overlap": 1.0, **changes}
    if mode != "cut" and not given.get("min_words"):
        given.setdefault("confirm", (StopWords(), MinWords(1), MinDuration(1.0)))
    return Interruption(mode=mode, **given)


def delays(**changes) -> Endpointing:
    """The same for the end of a turn."""
    return Endpointing(**{"min_delay": 0.3, "doubt_delay": 0.7, "max_delay": 1.2, "entity_delay": 1.6, **changes})


def turns(**changes) -> TurnSettings:
    """The same for all of turn-taking."""
    return TurnSettings(**{"interruption": interruption(), "endpointing": delays(), **changes})


def speech(onset: float, ended: float = math.inf, utterance: int = 1, pauses: Iterable[tuple[float, float]] = ()):
    """What a VAD says of an utterance that is sure after 0.1 s, and calls silence a pause after 0.16 s and the end
    after 0.32 s. ``pauses`` are silences inside it."""
    facts: list[Fact] = [SpeechStarted(onset + 0.1, utterance, onset)]
    for since, until in pauses:
        facts.append(SpeechWavers(since + 0.03, utterance))
        if until > since + 0.16:
            facts += [SpeechPaused(since + 0.16, utterance), SpeechResumed(until, utterance)]
        facts.append(SpeechSteady(until, utterance))
    if ended < math.inf:
        facts += [SpeechWavers(ended + 0.03, utterance), SpeechPaused(ended + 0.16, utterance)]
        facts.append(SpeechStopped(ended + 0.32, utterance, ended))
    return facts


def final(at: float, text: str, utterance: int = 1) -> Fact:
    return Transcript(at, utterance, text, True)


def interim(at: float, text: str, utterance: int = 1) -> Fact:
    return Transcript(at, utterance, text, False)


def says(text: str, onset: float, ended: float, utterance: int = 1):
    """An utterance whose final comes half a second after its end."""
    return [*speech(onset, ended, utterance), final(ended + 0.5, text, utterance)]


def reply(
    audible: float, text: str = "A long story.", closed: float = math.inf, number: int = 1, unheard: str = "", **kwargs
):
    """A reply that opens 0.1 s before it is audible."""
    facts: list[Fact] = [ReplyOpened(audible - 0.1, number, **kwargs), ReplyText(audible - 0.1, number, text)]
    facts.append(ReplyAudible(audible, number))
    return [*facts, ReplyClosed(closed, number, unheard)] if closed < math.inf else facts


def short(action: Action) -> str:
    match action:
        case Soften(reply=number, how=how):
            return f"{how} {number}"
        case CarryOn(reply=number):
            return f"carry on {number}"
        case FalseInterruption(backchannel=backchannel):
            return "backchannel" if backchannel else "false interruption"
        case Cut(reply=number, onset=onset, trigger=trigger):
            return f"cut {number} by {trigger} of {onset:g}"
        case Drop(reply=number):
            return f"drop {number}"
        case EndTurn(utterance=utterance, text=text, continues=continues, guessed=guessed):
            return f"turn {utterance}: {text}" + " (continues)" * continues + " (guessed)" * guessed
        case Guess(text=text):
            return f"guess: {text}"
        case TakeBack():
            return "take back"
        case Discard(kind=kind, text=text):
            return f"{kind}: {text}"
        case SayRest(unheard=unheard):
            return f"rest: {unheard}"
        case AskAgain():
            return "ask again"
        case Complain(what=what):
            return f"{what} raised"
        case Hold():
            return "hold"
        case Release():
            return "release"


def actions(
    *facts: Fact | Iterable[Fact], until: float = 0.0, taker: TurnTaker | None = None, **settings
) -> list[tuple[float, Action]]:
    """Everything that is decided, and when: the facts come in the order of their times, and the turn-taker is asked
    whenever it wants to be. Milliseconds are exact enough. ``settings`` are those that differ from `turns`."""
    taker = taker or TurnTaker(turns(**settings))
    rows: list[tuple[float, Action]] = []

    def take(at: float, done: list[Action]) -> None:
        rows.extend((round(at, 3), action) for action in done)
        assert taker.next_check > at

    def ticks(before: float) -> None:
        while taker.next_check <= before:
            take(taker.next_check, taker.tick(taker.next_check))

    flat = [fact for each in facts for fact in (each if isinstance(each, Iterable) else [each])]
    for fact in sorted(flat, key=lambda fact: fact.at):
        ticks(fact.at)
        take(fact.at, taker.handle(fact))
    ticks(until)
    return rows


def decided(*facts: Fact | Iterable[Fact], until: float = 0.0, taker: TurnTaker | None = None, **settings) -> list[Row]:
    """The same in words, without holding and releasing."""
    rows = [(at, short(action)) for at, action in actions(*facts, until=until, taker=taker, **settings)]
    return [row for row in rows if row[1] not in ("hold", "release")]
