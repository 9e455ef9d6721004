"""Sentences out of a reply that is still being written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callengine.brain.sentences import SentenceChunker
from callengine.errors import ConfigurationError


def pieces(text: str, *, step: int = 10_000, language: str = "en", **settings: int) -> list[str]:
    chunker = SentenceChunker(language, **settings)
    out: list[str] = []
    for start in range(0, len(text), step):
        out += chunker.push(text[start : start + step])
    return out + chunker.flush()


# Each case is a text with "|" where it must be cut.
CASES = [
    # Plain
    ("en", "Hello. | How are you? | Fine!"),
    ("en", "Yes. | We have a table."),
    ("en", "Ok. | sure. | no problem."),
    ("en", "Really?! | Yes!! | Good."),
    ("en", "no terminator at all"),
    ("en", "A line\n|and another\n\n|and a third"),
    ("en", "One; two: three, four. | Five."),
    # Titles and initials
    ("en", "I spoke with Dr. Smith and Mrs. Jones. | They agreed."),
    ("en", "St. Mary Street is near Mt. Vernon. | Turn left."),
    ("en", "It was written by J. R. R. Tolkien. | Shall I read it?"),
    ("en", "George W. Bush called. | He hung up."),
    ("en", "That is between you and I. | Thanks."),
    # Abbreviations inside and at the end of a sentence
    ("en", "We sell tea, coffee, etc. and cakes, e.g. Muffins. | Anything else?"),
    ("en", "We sell tea, coffee, etc. | Would you like some?"),
    ("en", "Acme Inc. Support is closed. | Please call Acme Inc. | They open at nine."),
    ("en", "He lives in the U.S. Government quarter. | I live in the U.S. | Do you?"),
    ("en", "She has a Ph.D. in law."),
    ("en", "Room No. 5 is free. | No. | It is not."),
    ("en", "See p. 12 and fig. 3. | Then call."),
    ("en", "Platform 9, approx. 5 minutes. | Hurry."),
    # Numbers and times
    ("en", "It costs 3.5 euros. | Or 1,234.50 in total. | OK?"),
    ("en", "We open at 7.30 p.m. on Monday. | We close at 11 p.m. | Would that suit you?"),
    ("en", "It opened in 1999. | Since then it grew."),
    ("en", "There are 5. | Do you want one?"),
    ("en", "Call 555. 1234 is the extension."),
    ("en", "Version 2.0.1 is out. | Get it."),
    # Addresses of the net
    ("en", "Visit https://www.example.com/a.b?c=d. | Or write to jo.doe@example.co.uk. | Bye."),
    ("en", "Our site is example.com. | It has more."),
    # Lists
    ("en", "1. First thing. | 2. Second thing. | 3. Third."),
    ("en", "Choose: 1. Coffee 2. Tea 3. Water. | Which?"),
    ("en", "a. Red\n|b. Blue"),
    ("en", "You can:\n|- pay\n|- call Dr. No\n|* leave"),
    ("en", "1.\nFirst"),
    # Capitals
    ("en", "I called NASA. | They said OK. | IBM did not."),
    # Dots
    ("en", "Well... let me see. | Hmm... | Yes."),
    ("en", "Wait…what? | One moment… | Here it is."),
    ("en", "... and then it rang."),
    # Quotes and brackets
    ("en", 'He said "Hello." | "Hi," she said.'),
    ("en", '"Ready?" she asked. | "Go!"'),
    ("en", "She said “Yes.” | Then she left."),
    ("en", "(He left.) | We stayed."),
    ("en", "**Done.** | Next, _please_."),
    ("en", 'Send {"a": "b. C", "d": 1} please. | Thanks.'),
    ("en", "See [our page. Really](http://x.test). | Bye."),
    ("en", "Great! | 😀 Next one.😀 | Last."),
    ("en", "```\nx = 1. Then\ny = 2\n```\n|That was code."),
    # Italian
    ("it", "Il sig. Rossi e la dott.ssa Bianchi arrivano alle 9.30. | Va bene?"),
    ("it", "Abbiamo pane, latte, ecc. | Vuole altro?"),
    ("it", "Costa 3,50 euro. | L'art. 5 lo dice. | L'ufficio è chiuso."),
    ("it", "Lavoro alla Acme S.p.A. di Roma. | Chiami la Acme S.p.A. | Le rispondono subito."),
    # Spanish
    ("es", "¿Qué tal? | ¡Bien! | El Sr. García y la Dra. Ruiz llegan a las 10 a. m. | Mañana no."),
    ("es", "Vive en EE. UU. desde 1999. | ¿Y Ud. dónde?"),
    # German
    ("de", "Wir treffen uns am 3. Mai um 9 Uhr. | Passt das, z. B. am Abend? | Ja."),
    ("de", "Herr Dr. Müller hat die Nr. 5, d. h. den Raum links. | Es gibt 3. | Möchten Sie einen?"),
    ("de", "Tee, Kaffee usw. | Was darf es sein?"),
    # French
    ("fr", "Bonjour ! | Ça va ? | M. Dupont et Mme. Martin sont là."),
    ("fr", "Il dit « Bonjour. » | Puis il part."),
    ("fr", "C'est l'art. 5, p. ex. ici. | D'accord ?"),
    # Portuguese
    ("pt", "O Sr. Silva e a Dra. Costa chegam às 14h. | Está bem?"),
    ("pt-BR", "Temos pão, leite etc. | Você quer?"),
    # Other scripts
    ("zh", "你好。|今天天气很好！|真的吗？|“是的。”|好"),
    ("ja", "「はい。」|そうです。|3．5です"),
    ("ko", "네. | 알겠습니다. | 감사합니다!"),
    ("hi", "नमस्ते। | आप कैसे हैं? | ठीक।"),
    ("ar", "مرحبا. | كيف حالك؟ | بخير."),
    ("am", "ሰላም።|እንዴት ነህ፧"),
    ("hy", "Բարեւ։ | Լավ։"),
    ("el", "Τι κάνετε; | Καλά."),
    ("ru", "Здравствуйте. | Как дела? | Хорошо!"),
]


@pytest.mark.parametrize("step", [1, 3, 10_000])
@pytest.mark.parametrize(("language", "marked"), CASES, ids=[marked[:30] for _, marked in CASES])
def test_where_replies_are_cut(language: str, marked: str, step: int) -> None:
    expected = [piece.strip() for piece in marked.split("|")]
    assert pieces(marked.replace("|", ""), language=language, step=step) == expected


@pytest.mark.parametrize(
    ("so_far", "out"),
    [
        ("Yes. ", ["Yes."]),  # white space settles it
        ("Yes.", []),  # it may still become "Yes.com"
        ("Is it? I", ["Is it?"]),
        ("Ask Dr. Smith about it. ", ["Ask Dr. Smith about it."]),
        ("We open at 9 p.m. ", []),  # the next word tells
        ("We open at 9 p.m. Would ", ["We open at 9 p.m."]),
        ('"Yes." ', []),  # "she said" may follow
        ('"Yes." W', ['"Yes."']),
        ("你好。", []),  # a closing quote may follow
        ("你好。再", ["你好。"]),
        ("A line\n", ["A line"]),
    ],
)
def test_a_sentence_comes_out_as_soon_as_it_is_certain(so_far: str, out: list[str]) -> None:
    assert SentenceChunker().push(so_far) == out


def test_the_language_decides_what_an_abbreviation_is() -> None:
    assert pieces("Vedo il sig. Rossi.", language="it") == ["Vedo il sig. Rossi."]
    assert pieces("I lost the sig. Sorry.", language="en") == ["I lost the sig.", "Sorry."]


def test_flush_begins_a_new_reply() -> None:
    chunker = SentenceChunker(first_clause_min=5)
    assert chunker.push("Of course, madam. ") == ["Of course,", "madam."]
    assert chunker.push("Goodbye") == []
    assert chunker.flush() == ["Goodbye"]
    assert chunker.flush() == []
    assert chunker.push("Certainly, sir") == ["Certainly,"]


class TestLongText:
    def test_is_cut_at_a_clause_where_there_is_one(self) -> None:
        text = "one two three four five, six seven eight nine ten eleven twelve"
        assert pieces(text, max_chars=40) == ["one two three four five,", "six seven eight nine ten eleven twelve"]

    def test_otherwise_between_two_words(self) -> None:
        assert pieces("one two three four five six seven", max_chars=20) == ["one two three four", "five six seven"]

    def test_and_in_a_script_without_spaces_between_two_letters(self) -> None:
        assert pieces("สวัสดี" * 10, language="th", max_chars=20)[0] == ("สวัสดี" * 10)[:19]

    def test_a_number_is_not_cut_at_its_comma(self) -> None:
        text = "it was about 1, 234, 567 of them there"
        assert pieces(text, max_chars=25) == ["it was about 1, 234, 567", "of them there"]

    def test_a_code_block_is_never_cut(self) -> None:
        code = "```\n" + "a = b, c. D\n" * 30 + "```"
        assert pieces(f"Here: {code} and more. Then", max_chars=40) == [f"Here: {code}", "and more.", "Then"]

    @pytest.mark.parametrize("max_chars", [19, 0])
    def test_a_limit_that_is_too_small_is_refused(self, max_chars: int) -> None:
        with pytest.raises(ConfigurationError):
            SentenceChunker(max_chars=max_chars)


class TestFirstClause:
    @pytest.mark.parametrize(
        ("text", "first"),
        [
            ("Of course I can do that, let me look. Bye.", "Of course I can do that,"),
            ("Of course I can do that - let me look.", "Of course I can do that -"),
            ("Of course I can do that—let me look.", "Of course I can do that—"),
            ("I can do that, of course, let me look.", "I can do that, of course,"),
            ("当然可以的我来为您查一下这个订单的情况吧，请稍等。", "当然可以的我来为您查一下这个订单的情况吧，"),
        ],
    )
    def test_may_go_out_alone(self, text: str, first: str) -> None:
        assert pieces(text, first_clause_min=20)[0] == first

    @pytest.mark.parametrize(
        "text",
        [
            "Yes, of course.",
            "You owe us the amount of 1, 234 euros.",
            "You owe us the amount of 1,234 euros.",
            "We have a table (for two, near the window).",
            'She told me "I would, if I could" and left.',
            "She told me something like “I would, or so” and left.",
            'They call this one the "big one," I believe.',
            "It is a well-known and state-of-the-art thing.",
        ],
    )
    def test_but_not_everything_with_a_comma_is_a_clause(self, text: str) -> None:
        assert pieces(text, first_clause_min=20) == [text]

    def test_only_the_first_piece_and_only_if_asked(self) -> None:
        text = "That is quite all right, sir. That is quite all right, sir."
        assert pieces(text) == ["That is quite all right, sir."] * 2
        split = ["That is quite all right,", "sir.", "That is quite all right, sir."]
        assert pieces(text, first_clause_min=20) == split

    def test_a_minimum_that_means_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            SentenceChunker(first_clause_min=0)


FRAGMENTS = st.sampled_from(
    [
        *("Dr.", "p.m.", "Hello", "a", "I", "B.", "No.", "etc.", "5", "3.5", "1.", "12.", "The", "then", "L'", "z."),
        *(".", "..", "…", "?", "!", ",", ";", ":", "—", "-", "。", "，", "।", "؟", "ส", "ั", "😀", "\u200d", "x" * 25),
        *('"', "“", "”", "«", "»", "«\u00a0", "(", ")", "[", "]", "{", "}", "```", "**", "`", "」"),
        *(" ", " ", " ", " ", "\n", "\r\n", "\u00a0"),
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=40).map("".join) | st.text(max_size=80)
LANGUAGES = st.sampled_from(["en", "it", "es", "de", "fr", "pt", "zh", "el", "ru"])


@given(TEXTS, st.lists(st.integers(0, 400)), LANGUAGES, st.sampled_from([20, 60, 240]), st.sampled_from([None, 1, 15]))
@example("He said « Yes. » Then", [18], "fr", 240, None)
def test_how_the_text_arrives_makes_no_difference_and_nothing_is_lost(
    text: str, cuts: list[int], language: str, max_chars: int, first_clause_min: int | None
) -> None:
    def run(*edges: int) -> list[str]:
        chunker = SentenceChunker(language, max_chars=max_chars, first_clause_min=first_clause_min)
        bounds = [0, *sorted(min(edge, len(text)) for edge in edges), len(text)]
        out = [piece for i in range(len(bounds) - 1) for piece in chunker.push(text[bounds[i] : bounds[i + 1]])]
        return out + chunker.flush()

    whole = run()
    assert run(*cuts) == whole
    assert run(*range(len(text))) == whole
    assert "".join("".join(whole).split()) == "".join(text.split())
    assert all(piece and piece == piece.strip() for piece in whole)
    if "`" not in text:
        assert all(len(piece) <= max_chars for piece in whole)
