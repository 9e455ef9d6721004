"""Facts, written into the journal."""

from __future__ import annotations

from callengine.events import (
    Fact,
    ReplyAudible,
    ReplyOpened,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TurnHint,
    TurnVerdict,
)
from callengine.journal import Journal


def note_fact(journal: Journal, fact: Fact, turn: int) -> None:
    """Note what became known. What is noted elsewhere (texts, keys, the end of a reply), and what happens several times
    in a second of speech, is not."""
    match fact:
        case SpeechStarted():
            journal.note("speech.started", utterance=fact.utterance, onset=journal.time(fact.onset))
        case SpeechPaused():
            journal.note("speech.paused", utterance=fact.utterance)
        case SpeechResumed():
            journal.note("speech.resumed", utterance=fact.utterance)
        case SpeechStopped():
            journal.note("speech.stopped", utterance=fact.utterance, ended=journal.time(fact.ended))
        case Transcript():
            journal.note("transcript", utterance=fact.utterance, text=fact.text, final=fact.final)
        case TurnVerdict():
            journal.note("turn.verdict", utterance=fact.utterance, probability=round(fact.probability, 3))
        case TurnHint():
            journal.note("turn.hint", utterance=fact.utterance, hint=fact.kind)
        case ReplyOpened():
            journal.note("reply.started", turn=turn, utterance=fact.reply)
        case ReplyAudible():
            journal.note("reply.audible", utterance=fact.reply)
        case _:
            pass
