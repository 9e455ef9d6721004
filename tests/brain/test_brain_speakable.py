"""Text as a voice should read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.brain.sentences import SentenceChunker
from callengine.brain.speakable import speakable

ENGLISH = [
    ("We open at 7.30 p.m. on Monday.", "We open at 7.30 p.m. on Monday."),
    # Emphasis
    ("This is **very** important.", "This is very important."),
    ("This is *very* important, _really_, ***so***.", "This is very important, really, so."),
    ("__Bold__ and ~~old~~ new", "Bold and old new"),
    ("**_Both_** of them", "Both of them"),
    ("**The first half of a bold pair.", "The first half of a bold pair."),
    ("and its other half.**", "and its other half."),
    ("Call `ring_back` now", "Call ring_back now"),
    ("It's 5 * 3 and 2*4, that's snake_case_here", "It's 5 times 3 and 2 times 4, that's snake_case_here"),
    (r"A \*star\*, john\_doe and 1\. one", "A star, john_doe and 1. one"),
    # Blocks
    ("# Opening hours\nMonday to Friday", "Opening hours. Monday to Friday"),
    ("- Coffee\n- Tea\n* Water", "Coffee, Tea, Water"),
    ("- [x] done\n- [ ] open", "done, open"),
    ("We have:\n- coffee\n- tea\n\nAnything else?", "We have: coffee, tea. Anything else?"),
    ("1. First\n2. Second.\n3. Third", "1. First, 2. Second. 3. Third"),
    ("> She said hello\n> twice", "She said hello twice"),
    ("One\n\n---\n\nTwo", "One. Two"),
    ("soft\nwrapped  line", "soft wrapped line"),
    ("| Day | Hours |\n|---|:-:|\n| Monday | 9 to 5 |", "Day, Hours. Monday, 9 to 5"),
    ("Run this:\n```python\nprint(1)\n```\nand wait.", "Run this: and wait."),
    ("```\nhello world\n```", "hello world"),
    # Links
    ("See [our page](https://www.example.com/a?b=c) now.", "See our page now."),
    ('See [our page](https://x.test/a_(b) "Title").', "See our page."),
    ("![A red door](door.png)", "A red door"),
    ("See [this][1] and that[^2].", "See this and that."),
    ("Go to https://www.example.com/very/long?path=1#x.", "Go to example.com."),
    ("Go to www.example.com/offers, please", "Go to example.com, please"),
    ("Go to <https://example.com>!", "Go to example.com!"),
    ("Our site (https://example.com/x) has it.", "Our site (example.com) has it."),
    ("Go to example.com.", "Go to example.com."),
    ("[Write](mailto:jo@example.com) or mailto:jo@example.com", "Write or jo at example.com"),
    ("Mail jo.doe+x@example.co.uk.", "Mail jo.doe+x at example.co.uk."),
    # Emoji and invisible characters
    ("Great 😀! See you 👩‍👩‍👧 soon 👍🏽", "Great! See you soon"),
    ("Press 1️⃣ or ❶ 🇮🇹 ✅ → go", "Press 1 or ❶ go"),
    ("Acme™ ©2025", "Acme 2025"),
    ("zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen"),
    # HTML
    ("<p>Hello<br/>there <b>you</b></p>", "Hello there you"),
    ("Fish &amp; chips &lt; 5", "Fish and chips < 5"),
    ('<speak>One <break time="1s"/> two</speak> <!-- note -->', "One two"),
    ("if x < y and y > z", "if x < y and y > z"),
    # Symbols
    ("Q&A at AT&T, 50% or 12.5 % off", "Q and A at AT and T, 50 percent or 12.5 percent off"),
    ("You are #3, ~20 minutes, 2 + 2 = 4", "You are number 3, about 20 minutes, 2 plus 2 equals 4"),
    ("It costs $5.50, €3 or 20 °C", "It costs $5.50, €3 or 20 °C"),
    ("Dial +39 02 1234", "Dial +39 02 1234"),
    ("24/7 and/or 10-12", "24/7 and/or 10-12"),
    ("  lots \t of\n space ", "lots of space"),
    # Nothing to say
    ("", ""),
    ("😀", ""),
    ("---", ""),
    ("**", ""),
]


@pytest.mark.parametrize(("written", "spoken"), ENGLISH, ids=[repr(written)[:30] for written, _ in ENGLISH])
def test_what_is_said(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        ("en-GB", "A and B 5 percent x at y.it"),
        ("it", "A e B 5 per cento x chiocciola y.it"),
        ("es", "A y B 5 por ciento x arroba y.it"),
        ("fr", "A et B 5 pour cent x arobase y.it"),
        ("de", "A und B 5 Prozent x at y.it"),
        ("pt_BR", "A e B 5 por cento x arroba y.it"),
        ("ja", "A & B 5% x@y.it"),
    ],
)
def test_symbols_are_said_in_the_language(language: str, spoken: str) -> None:
    assert speakable("A & B 5% x@y.it", language) == spoken


def test_french_keeps_its_spaces_before_double_marks() -> None:
    assert speakable("**Bonjour** ! Ça va 😀 ?", "fr") == "Bonjour ! Ça va ?"


def test_scripts_that_need_joiners_keep_them() -> None:
    assert speakable("می\u200cخواهم क्\u200dष", "fa") == "می\u200cخواهم क्\u200dष"


def test_a_text_with_words_is_never_silent() -> None:
    assert speakable("https://example.com/") == "example.com"
    assert speakable("![](https://example.com/a.png)") == "example.com"
    assert speakable("```print(1)```") == "print(1)"
    assert speakable("[^1]") == "1"


@given(st.text(max_size=60) | st.text(alphabet="ab1 *_`~#-|[]()<>/\\.&@%\n:!1.https", max_size=60))
def test_any_text_is_safe(text: str) -> None:
    spoken = speakable(text)
    assert spoken == " ".join(spoken.split())
    if any(char.isalnum() for char in text):
        assert any(char.isalnum() for char in spoken)


@given(st.lists(st.sampled_from(["Hello", "there", "well,", "yes.", "No!", "3.5", "it's", "(so)", "€5"]), max_size=12))
def test_plain_words_are_untouched(words: list[str]) -> None:
    assert speakable(" ".join(words)) == " ".join(words)


def test_a_markdown_reply_through_the_chunker() -> None:
    reply = "## Hours\nWe are **open. Really.**\n\n- Monday: [9 to 5](http://x.test/a.b)\n- Sunday: closed 😀\n\nBye!"
    chunker = SentenceChunker()
    pieces = [*chunker.push(reply), *chunker.flush()]
    assert [speakable(piece) for piece in pieces] == [
        "Hours",
        "We are open.",
        "Really.",
        "Monday: 9 to 5",
        "Sunday: closed",
        "Bye!",
    ]
