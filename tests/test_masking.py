"""What of a stranger's words is written down."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.masking import masked, scrub


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15550100001", "•••0001"),
        ("0049 (30) 555-0142", "•••0142"),
        ("sip:15550100001@pbx.example.com:5061", "•••0001"),
        ("sip:alice@pbx.example.com", "•••"),
        ("client:joey", "•••"),
        ("anonymous", "•••"),
        ("1234567", "•••"),
        ("12345678", "•••5678"),
        ("7", "•••"),
        ("", ""),
    ],
)
def test_of_a_number_the_last_four_digits_are_shown(number, shown):
    assert masked(number) == shown


@pytest.mark.parametrize("injected", ["\n", "\r\n", "\x1b[2K", "\u2028", "\u202e", "\x00", "\x85"])
def test_a_caller_id_cannot_begin_a_line_of_the_log(injected):
    shown = masked(f"+15550100001{injected}ERROR callengine: call accepted{injected}")

    assert re.fullmatch("•••[0-9]{4}", shown)


@given(st.text())
def test_a_masked_number_is_a_mask_and_at_most_four_digits(number):
    assert re.fullmatch(r"(•••[0-9]{0,4})?", masked(number))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The number +15550100001 is not verified.", "The number +•••0001 is not verified."),
        ("to=15550100001", "to=•••0001"),
        ("To: (555) 010-0001, then", "To: (•••0001, then"),
        ("%2B15550100001", "%2B•••0001"),
        ("tel 1 555 010 0001x22", "tel •••0001x22"),
        ("1555\u200b0100001", "•••0001"),
        ("٠١٢٣٤٥٦٧٨٩", "•••٦٧٨٩"),
        ("error 21211, status 400", "error 21211, status 400"),
        ("call CA00000000000000000000000000000002 is over", "call CA00000000000000000000000000000002 is over"),
        ("15550100001155501000011555010000115550100001", "•••0001"),
        ("two\nlines\r\nand\ta tab", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),
        ("\u202eevil\u202c", "evil"),
        ("half \ud800 a pair", "half a pair"),
        ("Grüße, 東京", "Grüße, 東京"),
    ],
)
def test_a_vendor_s_message_keeps_its_sense_and_loses_numbers_and_lines(text, kept):
    assert scrub(text) == kept


@pytest.mark.parametrize("limit", [5, 300])
def test_long_messages_are_cut(limit):
    assert scrub("x" * limit, limit) == "x" * limit
    assert scrub("xyz " * 5_000, limit).endswith("…")
    assert len(scrub("xyz " * 5_000, limit)) == limit


@given(st.text(), st.from_regex(r"\+?[0-9]{7,15}", fullmatch=True), st.text())
def test_no_number_between_words_comes_through(before, number, after):
    text = scrub(f"{before}: {number}; {after}", limit=10_000)

    assert number.lstrip("+") not in text


@given(st.text(), st.integers(0, 400))
def test_what_is_left_is_one_printable_line_within_the_limit(text, limit):
    line = scrub(text, limit)

    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert len(line) <= max(limit, 1)


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Co"])))
def test_nothing_is_left_of_what_cannot_be_seen(text):
    assert scrub(text) == ""
    assert all(unicodedata.category(character)[0] in "CZ" for character in text)
