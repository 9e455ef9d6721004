"""Which final transcripts are no turn: a recogniser's artefacts, duplicates, echoes, and what is too short.

Everything else is one, unmodified: "yes", "no" and "okay" are answers.
"""

from __future__ import annotations

import math
from typing import Literal

from callengine.turns.actions import Discard
from callengine.turns.listening import Utterance
from callengine.turns.phrases import Phrases, is_artefact, normal
from callengine.turns.settings import Interruption

DUPLICATE_WINDOW = 2.0
"""Seconds within which the same words, without a sound of their own, are the recogniser's and not the caller's."""


class Sieve:
    """Sifts one call's finals. What the agent was doing is looked at by the turn-taker."""

    def __init__(self, rules: Interruption, phrases: Phrases) -> None:
        self._rules = rules
        self._phrases = phrases
        self._last = ""
        self._last_at = -math.inf
        self._looked_at: tuple[str, bool] = "", False
        """The newest words, and whether they are an artefact: they are looked at for every fact."""

    def no_speech(self, utterance: Utterance) -> tuple[Literal["artefact", "duplicate"], str] | None:
        """Why the words so far are the recogniser's and not the caller's; None where they are his."""
        if self._looked_at[0] != utterance.text:
            self._looked_at = utterance.text, is_artefact(utterance.text, self._phrases)
        if self._looked_at[1]:
            return "artefact", "a caption, and not the caller's words"
        if utterance.ended is None and not utterance.speaking and self._repeats(utterance):
            return "duplicate", "the same words again, without new speech"
        return None

    def _repeats(self, utterance: Utterance) -> bool:
        if utterance.onset > self._last_at + DUPLICATE_WINDOW:
            return False
        words = normal(utterance.text)
        return bool(words) and (words == self._last or (utterance.final is None and self._last.startswith(words)))

    def sift(self, at: float, utterance: Utterance) -> Discard | None:
        """What keeps this utterance's final from being a turn; None if nothing does."""
        text, rules = utterance.final, self._rules
        assert text is not None
        why = self.no_speech(utterance)
        if why is not None:
            return Discard(utterance.number, text, *why)
        self._last, self._last_at = normal(text), at
        if utterance.over is not None:
            return None
        if len(self._last.split()) < rules.min_words_silent:
            return Discard(utterance.number, text, "too short", f"fewer than {rules.min_words_silent} words")
        if utterance.ended is not None and utterance.ended - utterance.onset < rules.min_duration_silent:
            lasted = (utterance.ended - utterance.onset) * 1000
            return Discard(utterance.number, text, "too short", f"{lasted:.0f} ms of speech")
        return None
