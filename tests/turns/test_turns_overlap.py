"""The agent's own words, coming back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.errors import ConfigurationError
from callengine.turns.overlap import echoes

SAID = [
    "We have a table for four people by the window on Saturday at half past seven. Shall I book it for you?",
    "Certainly. Our kitchen is open from noon until ten, and on Sundays we close at nine in the evening.",
    "I am sorry, we are fully booked tonight, but I could offer you a table tomorrow at eight, or on Friday at seven.",
    "Thank you. I have your reservation under the name Harrison for this Friday. Is there anything else you need?",
    "The tasting menu is sixty five euros a person, with the wine it is ninety, and we can make all of it vegetarian.",
    "Could I have your phone number, please, so that we can reach you if anything changes before then?",
]
REPLIES = [
    "Saturday at seven?",
    "at half past seven",
    "Saturday works for me, but not at half past seven.",
    "Yes, please book it for me.",
    "Can I have it by the window instead of the corner?",
    "A table for six people, not for four people.",
    "No, I said Sunday at half past eight.",
    "Are you open on Sundays until ten as well?",
    "You close at nine? On the website it says ten.",
    "I would like to come tomorrow, is eight still possible?",
    "Then I take the table tomorrow at eight.",
    "What about Friday at eight?",
    "It is not Harrison, it is Morrison.",
    "There is something else that you can do for me.",
    "Sixty five a person is too much for us.",
    "With the wine is fine.",
    "Does it have a vegetarian menu with wine?",
    "My phone number is five five five zero one four two.",
    "Why do you need my phone number before then?",
    "On Saturday at half past seven we can not come.",
    "Please don't call me, I'll call you.",
    "That is fine with me.",
]


def misheard(rng: random.Random, words: list[str], share: float) -> str:
    """Words as a recogniser writes them from an echo: some replaced, left out or split."""
    heard: list[str] = []
    for word in words:
        match rng.choices(["kept", "other", "gone", "split"], [1 - share, share / 2, share / 4, share / 4])[0]:
            case "kept":
                heard.append(word)
            case "other":
                heard.append(rng.choice(["uh", "their", "fore", "it's", "when"]))
            case "split":
                heard += ["a", word]
            case _:
                pass
    return " ".join(heard)


def caught(share_misheard: float, **settings: float) -> float:
    """Share of echoes that are recognised, over pieces of 6 to 14 words of what the agent says."""
    rng = random.Random(3)
    echoed = []
    for _ in range(600):
        words = rng.choice(SAID).split()
        length = rng.randint(6, min(14, len(words)))
        start = rng.randrange(len(words) - length + 1)
        said = " ".join(words[: start + length])
        echoed.append(echoes(misheard(rng, words[start : start + length], share_misheard), said, **settings))
    return sum(echoed) / len(echoed)


def test_echoes_are_told_from_callers() -> None:
    assert caught(0.0) == 1.0
    assert caught(0.1) == pytest.approx(0.98, abs=0.01)
    assert caught(0.2) == pytest.approx(0.92, abs=0.01)
    assert not any(echoes(reply, said) for reply in REPLIES for said in SAID)


def test_the_defaults_are_chosen_among_others() -> None:
    answers = [(reply, said) for reply in REPLIES for said in SAID]

    assert caught(0.2, share=0.8) == pytest.approx(0.72, abs=0.04)
    assert caught(0.1, min_words=4) == pytest.approx(0.99, abs=0.01)
    taken = [reply for reply, said in answers if echoes(reply, said, min_words=4)]
    assert taken == ["at half past seven", "With the wine is fine."]


def test_the_agents_own_words_are_an_echo() -> None:
    said = SAID[0]

    assert echoes("a table for four people by the window", said)
    assert echoes("Table for four people by a window on Saturday", said)
    assert echoes("on saturday at 1/2 past 7 shall I book it", said)


def test_figures_and_words_are_the_same() -> None:
    assert echoes("on saturday at 7 tomorrow at 8", "On Saturday at seven, tomorrow at eight.")


def test_three_words_are_a_question_back() -> None:
    said = "We have a table on Saturday at seven."

    assert not echoes("Saturday at seven?", said)
    assert echoes("Saturday at seven?", said, min_words=3)


def test_what_the_caller_says_behind_the_echo_is_his() -> None:
    said = SAID[0]

    assert echoes("a table for four people by the window", said)
    assert not echoes("a table for four people by the window no I said Sunday", said)
    assert not echoes("no wait please a table for four people by the window", said)


def test_the_share_decides() -> None:
    said = "one fine day we saw a ship upon the sea"
    heard = "uh oh we saw a ship it is"

    assert not echoes(heard, said, min_words=4)
    assert echoes(heard, said, min_words=4, share=0.5)


def test_the_same_words_in_another_order_are_the_callers() -> None:
    assert not echoes("at seven on Saturday for four a table", SAID[0])


@pytest.mark.parametrize("settings", [{"min_words": 0}, {"share": 0.0}, {"share": 1.5}])
def test_wrong_settings_are_refused(settings) -> None:
    with pytest.raises(ConfigurationError, match="min_words"):
        echoes("a b c d", "a b c d", **settings)


@given(st.text(), st.text())
def test_any_text_has_an_answer(candidate, said) -> None:
    assert isinstance(echoes(candidate, said), bool)


@given(st.lists(st.sampled_from("we have a table for you on Sunday at ten".split()), min_size=5))  # noqa: SIM905
def test_a_text_is_its_own_echo_and_nothing_is_one_of_silence(words) -> None:
    assert echoes(" ".join(words), " ".join(words))
    assert not echoes(" ".join(words), "")
