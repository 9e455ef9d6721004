"""Settings of turn-taking: what cannot work is refused when it is written, with what to do instead."""

from __future__ import annotations

import math

import attrs
import pytest
from deciding import decided, interim, reply, says, speech, turns

from callengine.errors import ConfigurationError
from callengine.turns.confirmation import MinWords, StopWords
from callengine.turns.phrases import Phrases
from callengine.turns.settings import Endpointing, Interruption, Preemption, TurnSettings
from callengine.turns.turn_taking import TurnTaker

OR_ZERO = [
    *((TurnSettings, name) for name in ("split", "final_timeout")),
    *((Interruption, name) for name in ("min_duration", "min_words", "min_duration_silent", "short_speech")),
    *((Interruption, name) for name in ("guard", "answer_overlap")),
    *((Endpointing, name) for name in ("min_delay", "doubt_delay", "max_delay", "entity_delay")),
    (Preemption, "stable"),
]
POSITIVE = [
    *((Interruption, name) for name in ("min_words_silent", "long_speech", "window")),
    *((Preemption, name) for name in ("max_speech", "tries")),
]


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        *((settings, name, value) for settings, name in OR_ZERO for value in (-0.1, math.nan, math.inf)),
        *((settings, name, value) for settings, name in POSITIVE for value in (0, -1, math.nan, math.inf)),
        *((Endpointing, "threshold", value) for value in (0.0, 1.0, math.nan)),
        (Interruption, "mode", "stop"),
        (Endpointing, "mode", "learn"),
        (Interruption, "backchannels", "mm-hm"),
        *((Interruption, "confirm", value) for value in ((), [StopWords()], StopWords(), (StopWords,), ("words",))),
    ],
)
def test_what_cannot_work_is_refused(settings, name, value) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is .*: give "):
        settings(**{name: value})


def test_settings_that_contradict_each_other_are_refused() -> None:
    given = Endpointing(min_delay=0.3, doubt_delay=0.3, max_delay=0.3)
    with pytest.raises(ConfigurationError, match=r"max_delay is 0\.3 and min_delay 0\.4: it must not be less"):
        attrs.evolve(given, min_delay=0.4)
    with pytest.raises(ConfigurationError, match=r"put MinWords\(2\) into confirm"):
        Interruption(min_words=2, confirm=(MinWords(3),))


def test_min_words_stands_for_strategies() -> None:
    """In every mode: sound, however long, is no confirmation then; a stop word is."""
    for mode in ("cut", "pause", "duck"):
        rules = Interruption(mode=mode, min_words=3, window=9.0)
        story = reply(1.0)
        assert "cut" not in str(decided(story, speech(2.0), until=4.0, interruption=rules))
        words = [interim(2.9, "tell me"), interim(3.1, "tell me more")]
        rows = decided(story, speech(2.0), words, until=4.0, interruption=rules)
        assert rows[-1] == (3.1, "cut 1 by transcript of 2")
        rows = decided(story, speech(2.0), interim(2.9, "stop"), until=4.0, interruption=rules)
        assert rows[-1] == (2.9, "cut 1 by transcript of 2")


def test_phrases_can_be_those_of_another_language() -> None:
    """The agent's language decides, unless phrases are given."""
    facts = [*reply(1.0), *says("genau", 2.0, 2.15)]
    dropped, cut = (2.65, "backchannel: genau"), (2.65, "cut 1 by transcript of 2")
    assert decided(facts)[0] == cut
    assert decided(facts, taker=TurnTaker(turns(), language="de-AT"))[0] == dropped
    given = turns(phrases=Phrases(backchannels=["genau"]))
    assert decided(facts, taker=TurnTaker(given, language="en"))[0] == dropped
