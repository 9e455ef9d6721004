"""Backchannels, stop words and captions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.errors import ConfigurationError
from callengine.turns.phrases import Phrases, is_artefact, is_backchannel, normal, phrases_for, stop_word

ENGLISH = phrases_for("en")
LISTS = [
    *("backchannels", "stop_words", "artefacts", "openers", "closed"),
    *("fillers", "binding", "asking", "beginnings", "leads"),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  Mm-hmm. ", "mm hmm"),
        ("I don’t KNOW!", "i don't know"),
        ("'Hello,' she said…", "hello she said"),
        ("ｆｕｌｌ　width", "full width"),
        ("¿Qué?", "qué"),
        ("हाँ जी", "हाँ जी"),
        ("555-01", "555 01"),
        ("?!", ""),
    ],
)
def test_normal_leaves_the_words(text, words) -> None:
    assert normal(text) == words


@given(st.text())
def test_normal_twice_is_normal_once(text) -> None:
    assert normal(normal(text)) == normal(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "okay okay",
            "mm-hm",
            "mhm right",
            "uh huh",
            "Mm-hmm.",
            "M-hm",
            "Uh-huh",
            "Hmm.",
            "Hmmmm",
            "Mm hmm.",
            "Okay, okay.",
        ),
        *("yes", "Yeah.", "Right.", "Sure!", "OK", "I see.", "Oh, I see, okay.", "That's right.", "got it"),
    ],
)
def test_a_backchannel_in_any_spelling(text) -> None:
    assert is_backchannel(text, ENGLISH)


@pytest.mark.parametrize(
    "text", ["okay but", "no", "", "?", "yes it is", "Yes, on Saturday.", "thank you", "hello?", "right there", "wait"]
)
def test_whatever_says_more_is_no_backchannel(text) -> None:
    assert not is_backchannel(text, ENGLISH)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Wait, wait.", "wait"),
        ("Stop, please.", "stop"),
        ("Hold on a second.", "hold on"),
        ("hang on", "hang on"),
        ("Excuse me, can I ask something else?", "excuse me"),
        ("One moment.", "one moment"),
        ("Sorry, actually, make it six people.", "sorry"),
        ("That is not what I asked.", "that is not what"),
        ("Okay, okay, hang on.", "hang on"),
        ("Um, wait", "wait"),
        ("I said stop stop", "stop"),
        ("we need to hold on, hold on", "hold on"),
    ],
)
def test_a_stop_word_begins_the_utterance_or_is_repeated(text, word) -> None:
    assert stop_word(text, ENGLISH) == word


@pytest.mark.parametrize(
    "text",
    ["I can't wait", "the bus stop", "Where is the bus stop?", "Yes, please.", "uh huh", "", "no", "It is one moment"],
)
def test_the_same_words_inside_a_sentence_stop_nothing(text) -> None:
    assert stop_word(text, ENGLISH) is None


def test_no_wait_please_stops_the_agent() -> None:
    assert stop_word("no wait please", ENGLISH) == "no wait"


@pytest.mark.parametrize(
    "text",
    [
        *("Thanks for watching!", "thank you for watching", "[music]", "(applause)", "♪", "♪ la la ♪", "Subscribe."),
        *(
            "[BLANK_AUDIO]",
            "*coughs*",
            "(upbeat music) [laughter]",
            "<noise>",
            "Thanks for watching. Please subscribe.",
        ),
    ],
)
def test_captions_are_artefacts(text) -> None:
    assert is_artefact(text, ENGLISH)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "yes",
            "Yes.",
            "no",
            "No.",
            "okay",
            "Okay.",
            "thanks",
            "Thank you.",
            "bye",
            "Goodbye.",
            "right",
            "cool",
            "you",
        ),
        *("[yes]", "(okay)", "(no)", "[stop]", "(555)", "[laughs] yes", "Music.", "I watched a video", "", "..."),
    ],
)
def test_answers_are_no_artefacts(text) -> None:
    assert not is_artefact(text, ENGLISH)


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it", "nl", "pt"])
def test_each_language_has_every_list(language) -> None:
    phrases = phrases_for(language)
    for name in set(LISTS) - {"asking"}:
        assert getattr(phrases, name), name
    assert all(str(digit) in phrases.numerals.values() for digit in range(10))


@pytest.mark.parametrize(
    ("language", "goes_on", "stops", "caption"),
    [
        ("de-CH", "Ja, genau.", "Moment mal!", "Untertitel im Auftrag des ZDF für funk"),
        ("es-MX", "Sí, claro.", "Espere un momento", "Suscríbete al canal"),
        ("fr", "D'accord, oui.", "Attendez !", "Merci d'avoir regardé cette vidéo"),
        ("it", "Va bene.", "Aspetti un attimo", "Grazie per la visione"),
        ("nl_NL", "Ja, precies.", "Wacht even", "Bedankt voor het kijken"),
        ("pt-BR", "Sim, claro.", "Espera aí", "Obrigado por assistir"),
    ],
)
def test_the_lists_are_of_their_language(language, goes_on, stops, caption) -> None:
    phrases = phrases_for(language)
    assert is_backchannel(goes_on, phrases)
    assert stop_word(stops, phrases) is not None
    assert is_artefact(caption, phrases)
    assert not is_backchannel(goes_on, ENGLISH)


def test_the_region_does_not_matter_and_an_unknown_language_has_no_words() -> None:
    assert phrases_for("en-GB") == phrases_for("EN") == ENGLISH
    for unknown in ("tlh", ""):
        assert phrases_for(unknown) == Phrases()
        assert not is_backchannel("okay", phrases_for(unknown))
        assert stop_word("stop", phrases_for(unknown)) is None


def test_more_words_are_added_in_any_spelling() -> None:
    more = ENGLISH.extended(backchannels=["Righty-ho!"], stop_words=["Basta!"], artefacts=["Brought to you by us"])

    assert is_backchannel("righty ho, okay", more)
    assert stop_word("Basta, I said", more) == "basta"
    assert is_artefact("Brought to you by us.", more)
    assert stop_word("Basta, I said", ENGLISH) is None


def test_a_bracketed_artefact_does_not_drop_its_word() -> None:
    more = ENGLISH.extended(artefacts=["[organ]"])

    assert not is_artefact("Organ.", more)
    assert more == ENGLISH


@given(st.sampled_from(LISTS), st.lists(st.text(max_size=20), max_size=5))
def test_extending_only_adds(name, words) -> None:
    more = ENGLISH.extended(**{name: words})

    for each in LISTS:
        added = getattr(more, each) - getattr(ENGLISH, each)
        assert getattr(ENGLISH, each) <= getattr(more, each)
        assert not added or each == name
    assert more.numerals == ENGLISH.numerals


def test_wrong_lists_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="backchannels"):
        ENGLISH.extended(stopwords=["x"])
    with pytest.raises(ConfigurationError, match="give a list"):
        ENGLISH.extended(stop_words="basta")
    with pytest.raises(ConfigurationError, match="give a list"):
        Phrases(openers="the")


@given(st.text())
def test_any_text_has_an_answer(text) -> None:
    assert isinstance(is_backchannel(text, ENGLISH), bool)
    assert isinstance(is_artefact(text, ENGLISH), bool)
    assert stop_word(text, ENGLISH) in {None, *ENGLISH.stop_words}


@given(st.lists(st.sampled_from(sorted(ENGLISH.backchannels)), min_size=1, max_size=6))
def test_any_row_of_backchannels_is_one(row) -> None:
    assert is_backchannel(", ".join(row), ENGLISH)
