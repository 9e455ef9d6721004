"""From a position in the audio to the words that were heard."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from callengine.ports import WordTime
from callengine.turns.heard import CHARACTERS_A_SECOND, Heard, SpokenText

RATE = 8000


def spoken(*pieces: tuple[str, int], rate: int = RATE, complete: bool = True) -> SpokenText:
    """Sentences with so many samples of audio each; the last one is still arriving unless ``complete``."""
    text = SpokenText(rate)
    for sentence, _ in pieces:
        text.plan(sentence)
    for _, samples in pieces:
        text.begin_piece()
        text.add_audio(samples)
    if complete:
        text.end_piece()
    return text


@pytest.mark.parametrize(
    ("position", "heard"),
    [
        (0, ("", False)),
        (1, ("", False)),
        (3 * 480 - 1, ("", False)),  # "We", and the space after it
        (3 * 480, ("We", False)),
        (8 * 480 - 1, ("We", False)),
        (8 * 480, ("We have", False)),
        (10 * 480, ("We have a", False)),
        (16 * 480 - 1, ("We have a", False)),
        (16 * 480, ("We have a table", True)),
        (99 * 480, ("We have a table", True)),
    ],
)
def test_words_count_when_their_audio_and_the_space_after_them_were_played(position, heard) -> None:
    assert spoken(("We have a table", 16 * 480)).heard(position) == heard


def test_sentences_count_one_after_the_other() -> None:
    text = spoken(("One.", 8000), ("Two three.", 16000))
    assert text.said == "One. Two three."
    assert text.heard(7999) == ("", False)
    assert text.heard(8000) == ("One.", False)
    assert text.heard(8000 + 8000) == ("One. Two", False)
    assert text.heard(24000) == ("One. Two three.", True)


def test_what_has_no_audio_yet_is_said_but_not_heard() -> None:
    text = SpokenText(RATE)
    text.plan("Hello there.")
    text.plan("How are you?")
    assert text.said == "Hello there. How are you?"
    assert text.heard(10**9) == ("", False)
    text.begin_piece()
    assert text.piece_is_silent
    text.add_audio(8000)
    assert not text.piece_is_silent
    text.end_piece()
    assert text.heard(8000) == ("Hello there.", False)


def test_a_sentence_without_any_audio_was_not_heard() -> None:
    assert spoken(("Hello.", 0)).heard(100) == ("", False)


def test_nothing_said_is_wholly_heard() -> None:
    assert SpokenText(RATE).heard(0) == ("", True)


def test_audio_without_text_is_heard_wholly_or_not() -> None:
    text = spoken(("", 8000))
    assert text.heard(7999) == ("", False)
    assert text.heard(8000) == ("", True)


# --- while audio is arriving ----------------------------------------------------------------------------------------


def test_a_sentence_that_is_still_arriving_is_taken_to_be_as_long_as_its_text() -> None:
    sentence = "x" * 14 + " " + "y" * 14  # with the last space, two seconds of text
    assert (len(sentence) + 1) / CHARACTERS_A_SECOND == 2.0
    text = spoken((sentence, 8000), complete=False)
    assert text.heard(7999) == ("", False)
    assert text.heard(8000) == ("x" * 14, False)


def test_the_last_word_of_a_sentence_that_is_still_arriving_was_not_heard() -> None:
    text = spoken(("Hello there.", 80000), complete=False)
    assert text.heard(80000) == ("Hello", False)
    text.end_piece()
    assert text.heard(80000) == ("Hello there.", True)


# --- word times -----------------------------------------------------------------------------------------------------

TIMES = (WordTime("Two", 0.0, 0.1), WordTime("for", 0.1, 0.9), WordTime("you", 0.9, 1.2))


def with_times(times: tuple[WordTime, ...], rate: int = RATE, *, complete: bool = True) -> SpokenText:
    text = SpokenText(rate)
    text.plan("Two for you")
    text.begin_piece()
    text.add_audio(round(1.2 * rate), times)
    if complete:
        text.end_piece()
    return text


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(
    ("seconds", "heard"), [(0.099, ""), (0.1, "Two"), (0.899, "Two"), (0.9, "Two for"), (1.2, "Two for you")]
)
def test_word_times_are_exact(rate, seconds, heard) -> None:
    assert with_times(TIMES, rate).heard(round(seconds * rate))[0] == heard


def test_word_times_that_came_so_far_are_used_while_the_sentence_arrives() -> None:
    assert with_times(TIMES[:2], complete=False).heard(round(1.1 * RATE)) == ("Two for", False)


def test_word_times_that_do_not_fit_the_text_are_not_used() -> None:
    by_length = with_times(()).heard(4800)
    assert with_times(TIMES[:2]).heard(4800) == by_length
    assert with_times((*TIMES, *TIMES)).heard(4800) == by_length


# --- what follows of it ---------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=12)
sentences = st.lists(words, min_size=1, max_size=8).map(" ".join)


@given(st.lists(st.tuples(sentences, st.integers(0, 40_000)), min_size=1, max_size=5), st.data())
def test_heard_is_a_prefix_of_said_to_the_word_and_grows_with_the_position(pieces, data) -> None:
    assume(all(sentence == sentence.strip() for sentence, _ in pieces))
    text = spoken(*pieces, complete=data.draw(st.booleans()))
    total = sum(samples for _, samples in pieces)
    first = data.draw(st.integers(0, total))
    second = data.draw(st.integers(first, total))
    (early, _), (late, whole) = text.heard(first), text.heard(second)
    assert late.startswith(early)
    assert text.said.startswith(late)
    assert not late or text.said[len(late) :][:1] in ("", " ")
    assert not whole or late == text.said
    result = Heard(said=text.said, heard=late, complete=whole)
    assert f"{result.heard} {result.unheard}".strip() == result.said


@given(sentences, st.integers(1, 100_000))
def test_everything_was_heard_with_the_last_sample_and_not_before(sentence, samples) -> None:
    assume(sentence == sentence.strip())
    text = spoken((sentence, samples))
    assert text.heard(samples) == (sentence, True)
    heard, whole = text.heard(samples - 1)
    assert not whole
    assert heard != sentence


def test_something_complete_has_no_unheard_part() -> None:
    assert Heard(said="Hello there.", heard="Hello", complete=True).unheard == ""
    assert Heard(said="Hello there.", heard="Hello", complete=False).unheard == "there."


# --- where to go on after a pause -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(
    ("seconds", "goes_on"), [(0.0, 0.0), (0.05, 0.0), (0.1, 0.1), (0.5, 0.1), (0.899, 0.1), (0.9, 0.9), (1.19, 0.9)]
)
def test_with_word_times_it_goes_on_at_the_word_that_was_not_heard(rate, seconds, goes_on) -> None:
    position = round(seconds * rate)
    assert with_times(TIMES, rate).next_word(position) == (min(position, round(goes_on * rate)), True)


def test_in_a_silence_between_words_it_goes_on_right_there() -> None:
    apart = (WordTime("Two", 0.0, 0.1), WordTime("for", 0.5, 0.9), WordTime("you", 0.9, 1.0))
    assert with_times(apart).next_word(2400) == (2400, True)
    assert with_times(apart).next_word(9000) == (9000, True)  # after the last word


def test_without_word_times_the_start_of_the_word_is_estimated() -> None:
    text = spoken(("We have a table", 16 * 480))
    assert text.next_word(1) == (0, True)
    assert text.next_word(3 * 480 - 1) == (0, True)
    assert text.next_word(3 * 480) == (3 * 480, False)
    assert text.next_word(7 * 480) == (3 * 480, False)
    assert text.next_word(15 * 480) == (10 * 480, False)


def test_the_start_of_a_sentence_is_certain() -> None:
    text = spoken(("One.", 8000), ("Two three.", 16000))
    assert text.next_word(8000) == (8000, True)
    assert text.next_word(8001) == (8000, True)
    assert text.next_word(24000) == (24000, True)


def test_while_audio_is_arriving_it_goes_on_at_a_word_that_is_not_wholly_there() -> None:
    assert with_times(TIMES[:2], complete=False).next_word(9600) == (7200, True)
    assert spoken(("x" * 14 + " " + "y" * 14, 12000), complete=False).next_word(12000) == (8000, False)


def test_before_any_audio_it_goes_on_at_the_start() -> None:
    text = SpokenText(RATE)
    text.plan("Hello.")
    assert text.next_word(0) == (0, True)
    text.begin_piece()
    assert text.next_word(0) == (0, True)


@given(
    words=st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=6),
    position=st.integers(0, 30000),
    times=st.booleans(),
    complete=st.booleans(),
)
def test_what_was_heard_and_where_it_goes_on_leave_no_word_out(words, position, times, complete) -> None:
    text = SpokenText(RATE)
    text.plan(" ".join(words))
    text.begin_piece()
    ends = [480 * (len(" ".join(words[: count + 1])) + 1) for count in range(len(words))]
    starts = [0, *ends[:-1]]
    known = tuple(WordTime(w, s / RATE, e / RATE) for w, s, e in zip(words, starts, ends, strict=True))
    text.add_audio(ends[-1], known if times else ())
    if complete:
        text.end_piece()
    position = min(position, ends[-1])
    start, _ = text.next_word(position)
    heard = len(text.heard(position)[0].split())
    assert start <= position
    if times or complete:
        assert heard == len(words) or start <= starts[heard]
        again = sum(1 for s, e in zip(starts, ends, strict=True) if start <= s and e <= position)
        assert again == 0


# --- the end is taken away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "said"),
    [(0, "One moment, please. It is booked."), (4000, "One It is booked."), (8000, "It is booked.")],
    ids=["nothing", "half of it", "all of it"],
)
def test_what_was_dropped_before_it_was_heard_was_not_said(dropped, said) -> None:
    """Given a filler of a second, when so much of its end is dropped, then the next sentence follows what is left."""
    text = SpokenText(RATE)
    for sentence in ("One moment, please.", "It is booked."):
        text.plan(sentence)
    text.begin_piece()
    text.add_audio(8000)
    text.end_piece()
    text.begin_piece()
    text.drop_end(dropped)
    text.add_audio(8000)
    text.end_piece()
    assert text.said == said
    assert text.heard(16000 - dropped) == (said, True)
    assert text.heard(16000 - dropped - 1)[1] is False
