"""Cuts a reply into sentences while it is still being written.

Every decision rests only on the text of the piece so far and a few characters after it, and is taken as soon as those
are known; therefore how the text arrives makes no difference to the pieces.
"""

from __future__ import annotations

import re
import unicodedata

from callengine.brain.abbreviations import BEFORE_NUMBER, MAYBE, NEVER, ORDINALS, STARTERS
from callengine.errors import ConfigurationError

_STRONG = "!?…‼⁇⁈⁉؟۔։՜՞"
"""End a sentence where white space follows; a period does too, but for the exceptions below."""
_IMMEDIATE = "。！？．｡।॥።፧፨។៕။༎"
"""End a sentence without white space: the scripts that use them write none, or may leave it out."""
_TERMINATORS = frozenset("." + _STRONG + _IMMEDIATE)
_CLOSERS = frozenset("\"'”’»›)]}」』）】》〉〕*_`~")
"""Stay with the sentence that they follow: quotes, brackets, and the closing marks of Markdown."""
_QUOTES = frozenset("\"'”’»›」』")
_CLAUSE = frozenset(",;:،؛၊")
_CLAUSE_IMMEDIATE = frozenset("，、；：")
_DASHES = frozenset("—–")
_HARD_SPACES = frozenset("\u00a0\u202f\u2060\u2007")
_OPENERS = "\"'“‘«‹([{¿¡*_`~#>-•"
_PAIRS = {"(": ")", "[": "]", "{": "}", "“": "”", "«": "»", "„": "“", "「": "」", "『": "』", "（": "）"}

_BRACKET_REACH = 120
"""Characters after an opening [ or { within which no sentence ends; a bracket that stays open longer is a mistake."""

_ENUMERATOR = re.compile(r"[\s\-*•#>_(]*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_NUMBER = re.compile(r"[^\w\s]*\d[\d.,:/]*")
_WORD = re.compile(r"[^\W_][\w'’]*")


class SentenceChunker:
    """Streaming, for one reply after another.

    ``language`` is a tag such as ``en`` or ``pt-BR``; abbreviations are known for en, it, es, de, fr and pt, and the
    terminators of other scripts always. A text without a terminator is cut after ``max_chars`` characters, at a
    clause or a word. ``first_clause_min``, where given, lets the first piece of a reply end at a comma or dash once
    it has that many characters, so that the first audio comes sooner.

    Pieces carry no white space at their ends, and nothing else is ever lost or changed. A fenced code block
    (three backticks) is never cut, however long it is. Raises `ConfigurationError` for limits that cannot work.
    """

    def __init__(self, language: str = "en", *, max_chars: int = 240, first_clause_min: int | None = None) -> None:
        if max_chars < 20:
            raise ConfigurationError(f"max_chars must be at least 20, not {max_chars}")
        if first_clause_min is not None and first_clause_min < 1:
            raise ConfigurationError(f"first_clause_min must be at least 1, not {first_clause_min}")
        self._language = re.split("[-_]", language.lower())[0]
        self._max = max_chars
        self._first_clause_min = first_clause_min
        self._text = ""
        self._cursor = 0
        self._final = False
        self._first = True

    def push(self, text: str) -> list[str]:
        """Some more of the reply; returns the pieces that are complete."""
        self._text += text
        return self._advance()

    def flush(self) -> list[str]:
        """The reply is over: returns what is left of it. The next text belongs to a new reply."""
        self._final = True
        pieces = self._advance()
        if rest := self._text.strip():
            pieces.append(rest)
        self._text, self._cursor, self._final, self._first = "", 0, False, True
        return pieces

    # --- the scan ---------------------------------------------------------------------------------------------------

    def _advance(self) -> list[str]:
        pieces: list[str] = []
        while (cut := self._next_cut()) is not None:
            pieces.append(self._text[:cut].strip())
            self._text, self._cursor, self._first = self._text[cut:], 0, False
        return pieces

    def _next_cut(self) -> int | None:
        """Where the piece at the start of the text ends; None while that cannot be known."""
        if self._cursor == 0:
            self._text = self._text.lstrip()
        while self._cursor < len(self._text):
            decision = self._at(self._cursor)
            if decision is None:
                return None
            if decision:
                return decision
            self._cursor += 1
        return None

    def _at(self, at: int) -> int | None:
        """Decide about one character: the end of the piece, 0 to go on, None when more text is needed."""
        text = self._text
        if at >= self._max and not self._in_fence(at):
            return at if self._in_fence(self._max) else self._forced_cut()
        char = text[at]
        if char in "\n\r":
            return at if self._may_end(at) and not _ENUMERATOR.fullmatch(text[:at].rstrip(" .)")) else 0
        if char in _TERMINATORS and (at == 0 or text[at - 1] not in _TERMINATORS):
            return self._at_terminator(at)
        if char == ";" and self._language == "el":
            return self._at_terminator(at)
        if self._first and self._first_clause_min is not None:
            return self._at_clause(at)
        return 0

    def _at_terminator(self, at: int) -> int | None:
        text = self._text
        end = at + 1
        while end < len(text) and (text[end] in _TERMINATORS or text[end] in _CLOSERS or _is_symbol(text[end])):
            end += 1
        if end > self._max:
            return 0  # the limit comes first
        if end == len(text):
            # Nothing is lost by leaving the last sentence to `flush`.
            return 0 if self._final else None
        if not self._may_end(end):
            return 0
        marks = text[at:end].rstrip("".join(_CLOSERS))
        immediate = any(mark in _IMMEDIATE for mark in marks)
        if not text[end].isspace():
            between_digits = text[at] == "．" and text[at - 1 : at].isdigit() and text[end].isdigit()
            return end if immediate and not between_digits else 0
        if text[end] in _HARD_SPACES and not immediate:
            return self._closing_guillemet(end)
        guillemet = self._closing_guillemet(end)
        if guillemet != 0:
            return guillemet
        dots = all(mark == "." for mark in marks)
        quoted = any(mark in _QUOTES for mark in text[at:end])
        if dots and len(marks) == 1:
            verdict = self._after_period(at, end)
        elif quoted or (dots or marks.endswith("…")):
            verdict = self._unless_lower(end)
        else:
            verdict = True
        if verdict and quoted:
            verdict = self._unless_lower(end)
        return None if verdict is None else end if verdict else 0

    def _closing_guillemet(self, end: int) -> int | None:
        """In « Bonjour. » the closing mark stands behind a space: where the piece ends then; 0 where there is none."""
        if self._text.count("«", 0, end) <= self._text.count("»", 0, end):
            return 0
        following = self._following(end)
        if following is None:
            return None
        if self._text[following : following + 1] != "»":
            return 0
        return following + 1 if following + 1 <= self._max else 0

    # --- periods ----------------------------------------------------------------------------------------------------

    def _after_period(self, at: int, end: int) -> bool | None:
        """Whether a single period before white space ends the sentence."""
        head = self._text[:at]
        token = head.split()[-1].lstrip(_OPENERS) if head.split() else ""
        word = re.split("['’]", token.lower())[-1]
        if _ENUMERATOR.fullmatch(head):
            return False
        if word in NEVER.get(self._language, NEVER["en"]):
            return False
        if _NUMBER.fullmatch(token):
            return self._after_number(head, token, end)
        if word in BEFORE_NUMBER.get(self._language, ()):
            following = self._following(end)
            if following is None:
                return None
            if self._text[following : following + 1].isdigit():
                return False
        if len(token) == 1 and token.lower() != token.upper():
            return self._after_letter(head, token, end)
        if _DOTTED.fullmatch(token) or word in MAYBE.get(self._language, ()):
            return self._if_starter(end)
        return True

    def _after_number(self, head: str, token: str, end: int) -> bool | None:
        if token.isdecimal() and len(token) <= 2 and re.search(rf"(?:^|\s){int(token) - 1}\.\s", head):
            return False  # the next item of a list that is written in one line
        if head.removesuffix(token).rstrip().endswith(":"):
            return False  # its first item, as in "Choose: 1. Coffee"
        if self._language in ORDINALS and len(token) <= 2:
            return self._if_starter(end)
        following = self._following(end)
        return None if following is None else not self._text[following : following + 1].isdigit()

    def _after_letter(self, head: str, letter: str, end: int) -> bool | None:
        """An initial, or a part of an abbreviation that is written with spaces, as in "z. B." or "a. m."."""
        if letter == "I" and self._language == "en" and head != letter:
            return True
        if letter.isupper() and not head.rstrip(letter).rstrip().endswith("."):
            return False
        return self._if_starter(end)

    # --- what follows -----------------------------------------------------------------------------------------------

    def _following(self, end: int) -> int | None:
        """The next character that is not white space, or the next line break; the text's end when there is no more."""
        text = self._text
        while end < len(text) and text[end].isspace() and text[end] not in "\n\r":
            end += 1
        return end if end < len(text) or self._final else None

    def _unless_lower(self, end: int) -> bool | None:
        following = self._following(end)
        if following is None:
            return None
        return not self._text[following : following + 1].islower()

    def _if_starter(self, end: int) -> bool | None:
        """Whether the next word is one that sentences start with, in capitals; a line break counts as one."""
        following = self._following(end)
        if following is None:
            return None
        text = self._text
        if following == len(text) or text[following] in "\n\r":
            return True
        while following < len(text) and text[following] in _OPENERS:
            following += 1
        match = _WORD.match(text, following)
        unfinished = following == len(text) or (match is not None and match.end() == len(text))
        if unfinished and not self._final:
            return None
        if match is None or not match[0][0].isupper():
            return False
        word = match[0].lower().replace("’", "'")
        starters = STARTERS.get(self._language, ())
        if len(word) == 1 and text[match.end() : match.end() + 1] == ".":
            return False
        return word in starters or f"{word.split(chr(39))[0]}'" in starters

    def _may_end(self, end: int) -> bool:
        """Whether a piece may end here at all: it has a word, and is not inside code or brackets."""
        text = self._text
        if not any(char.isalnum() for char in text[:end]) or self._in_fence(end):
            return False
        for opener in "[{":
            opened = text.rfind(opener, max(0, end - _BRACKET_REACH), end)
            if opened >= 0 and text.find(_PAIRS[opener], opened, end) < 0:
                return False
        return True

    def _in_fence(self, end: int) -> bool:
        return self._text.count("```", 0, end) % 2 == 1

    # --- clauses and limits -----------------------------------------------------------------------------------------

    def _at_clause(self, at: int) -> int | None:
        assert self._first_clause_min is not None
        if at + 1 < self._first_clause_min or not self._is_clause_mark(at):
            return 0
        head = self._text[:at]
        following = self._following(at + 1)
        if following is None:
            return None
        after = self._text[following : following + 1]
        if head[-1:].isdigit() and after.isdigit():
            return 0
        unbalanced = any(head.count(opener) > head.count(closer) for opener, closer in _PAIRS.items())
        if unbalanced or head.count('"') % 2 or after in _QUOTES or not self._may_end(at + 1):
            return 0
        return at + 1

    def _is_clause_mark(self, at: int) -> bool:
        char = self._text[at]
        if char in _CLAUSE_IMMEDIATE:
            return True
        after = self._text[at + 1 : at + 2]
        if char in _DASHES or char == "-":
            return char == "—" or (after.isspace() and self._text[at - 1 : at].isspace())
        return char in _CLAUSE and after.isspace()

    def _forced_cut(self) -> int:
        """The best place to cut a piece of more than the largest size."""
        text, limit = self._text[: self._max + 1], self._max
        for at in range(limit - 1, limit // 3, -1):
            between_digits = text[at - 1].isdigit() and text[at + 1 :].lstrip()[:1].isdigit()
            if self._is_clause_mark(at) and not between_digits and not self._in_fence(at):
                return at + 1
        for at in range(limit, 0, -1):
            if text[at].isspace() and text[at] not in _HARD_SPACES and not self._in_fence(at):
                return at
        for at in range(limit, limit // 2, -1):
            if not _joins(text[at - 1], text[at]):
                return at
        return limit


def _is_symbol(char: str) -> bool:
    """Emoji and the invisible characters that belong to them."""
    return ord(char) > 0x2000 and unicodedata.category(char) in ("So", "Sk", "Mn", "Cf", "Me")


def _joins(left: str, right: str) -> bool:
    """Whether two characters are parts of one letter or emoji."""
    return left == "\u200d" or unicodedata.category(right) in ("Mn", "Mc", "Me", "Cf", "Sk")
