"""WordPiece, as BERT uncased splits text: 30,522 pieces, accents and case dropped."""

from __future__ import annotations

import unicodedata
from importlib.resources import files

import attrs

MAX_TOKENS = 256
"""Tokens that the encoder was trained on at most (max_seq_length of sentence-transformers/all-MiniLM-L6-v2)."""

_LONGEST_WORD = 100  # characters; BERT gives up on longer ones

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""Code points that are words of their own (Hugging Face tokenizers, BertNormalizer)."""


@attrs.frozen(eq=False)
class WordPiece:
    """The tokenizer. ``pieces`` maps a piece to its id; continuations begin with ``##``."""

    pieces: dict[str, int] = attrs.field(repr=False)

    @classmethod
    def load(cls) -> WordPiece:
        """Read the packaged vocabulary."""
        text = files("callengine.providers.local").joinpath("minilm_vocab.txt").read_text(encoding="utf-8")
        return cls({piece: number for number, piece in enumerate(text.splitlines())})

    def encode(self, text: str) -> list[int]:
        """Token ids with [CLS] before and [SEP] behind, `MAX_TOKENS` at most.

        Names of special tokens in ``text`` are read as ordinary text.
        """
        ids = [each for word in _words(text) for each in self._word(word)]
        return [self.pieces["[CLS]"], *ids[: MAX_TOKENS - 2], self.pieces["[SEP]"]]

    def _word(self, word: str) -> list[int]:
        """Greedy longest match from the left; a word that cannot be built is unknown as a whole."""
        unknown = [self.pieces["[UNK]"]]
        if len(word) > _LONGEST_WORD:
            return unknown
        ids: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                found = self.pieces.get(prefix + word[start:end])
                if found is not None:
                    break
            else:
                return unknown
            ids.append(found)
            start = end
        return ids


def _words(text: str) -> list[str]:
    """Words and single punctuation marks of the cleaned, lower-case text without accents."""
    cleaned = "".join(_clean(each) for each in text)
    bare = "".join(each for each in unicodedata.normalize("NFD", cleaned) if unicodedata.category(each) != "Mn")
    spaced = "".join(f" {each} " if _is_punctuation(each) else each for each in (c.lower() for c in bare))
    return spaced.split()


def _clean(char: str) -> str:
    """The character as it counts: nothing for control characters, a space for white space, spaces round a CJK word."""
    code = ord(char)
    if char in "\t\n\r":
        return " "
    if code in (0, 0xFFFD) or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    if char.isspace():
        return " "
    return f" {char} " if any(low <= code <= high for low, high in _CJK) else char


def _is_punctuation(char: str) -> bool:
    """All ASCII that is neither letter, digit nor space, and what Unicode calls punctuation."""
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char[0]).startswith("P")
