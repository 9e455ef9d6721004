"""Numbers as they are spoken: "double six", "oh one", "plus four four", "twenty three", "555-01"; as digits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

_BELOW_TWENTY = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
    "siebzehn achtzehn neunzehn",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
    "diecisiete dieciocho diecinueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove",
    "nl": "nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien "
    "zeventien achttien negentien",
    "pt": "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete "
    "dezoito dezenove",
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "fr": "vingt trente quarante cinquante soixante",
    "it": "venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "nl": "twintig dertig veertig vijftig zestig zeventig tachtig negentig",
    "pt": "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa",
}
_MORE = {
    "en": {"nought": "0", "naught": "0", "fourty": "40"},
    "de": {"zwo": "2"},
    "nl": {"één": "1"},
    "pt": {"meia": "6", "dezasseis": "16", "dezassete": "17", "dezanove": "19"},
}
_TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4, "doppel": 2, "doble": 2, "doppio": 2, "dubbel": 2}
_PLUS = frozenset({"+", "plus", "más", "più", "mais"})
_OH = frozenset({"o", "oh"})
_PRONOUNS = frozenset({"one", "un", "uno", "um", "een", "één"})
"""Numerals that are other words too: alone among others they are no digit ("I don't have one")."""
_AGAIN = frozenset(
    {"no", "sorry", "wait", "mean", "nein", "non", "nee", "não", "perdón", "pardon", "scusi", "sbagliato"}
)
"""What takes back the digits before it: "five five, sorry, five six"."""
_TOKEN = re.compile(r"\+|\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")


def numerals(language: str) -> Mapping[str, str]:
    """The spoken numbers below a hundred of a language (first part of its tag) as digits: "seven" to "7"."""
    table = {word: str(value) for value, word in enumerate(_BELOW_TWENTY.get(language, "").split())}
    table.update({word: str(20 + 10 * ten) for ten, word in enumerate(_TENS.get(language, "").split())})
    return table | _MORE.get(language, {})


@attrs.frozen
class Spoken:
    """What was read of a text."""

    digits: str
    """All of them, in order; of a correction ("no, five six") only what came after it."""
    groups: tuple[str, ...]
    """The same as they were said: "twenty three" is one group, "two three" are two."""
    international: bool
    """Whether the number began with a plus."""


def tokens(text: str) -> list[str]:
    """Words, runs of digits and plus signs of a text, in lower case."""
    return _TOKEN.findall(text.lower())


def read_digits(words: Sequence[str], table: Mapping[str, str]) -> Spoken:
    """The digits among these `tokens`, with ``table`` for the spoken ones. Other words are passed over."""
    groups: list[str] = []
    international = False
    times = 1
    for index, word in enumerate(words):
        if word in _TIMES:
            times = _TIMES[word]
            continue
        group = numeral(words, index, table)
        if group is not None:
            _append(groups, group * times if len(group) == 1 else group, word)
        elif word in {"hundred", "thousand"} and groups:
            groups[-1] += "00" if word == "hundred" else "000"
        elif word in _PLUS and not groups:
            international = True
        elif word in _AGAIN:
            groups, international = [], False
        times = 1
    return Spoken("".join(groups), tuple(groups), international)


def numeral(words: Sequence[str], index: int, table: Mapping[str, str]) -> str | None:
    """The digits that one of these `tokens` stands for; None if it is no number where it stands."""
    word = words[index]
    if word.isdecimal():
        return word
    if word in _OH:
        return "0" if _beside_digits(words, index, table) else None
    if word in _PRONOUNS and len(words) > 1 and not _beside_digits(words, index, table):
        return None
    return table.get(word)


def _append(groups: list[str], group: str, word: str) -> None:
    """Add a group; a spoken unit behind a spoken ten belongs to it ("twenty" "three")."""
    ten = groups[-1] if groups else ""
    if not word.isdecimal() and len(ten) == 2 and ten[1] == "0" and ten[0] > "1" and len(group) == 1 and group != "0":
        groups[-1] = ten[0] + group
    else:
        groups.append(group)


def _beside_digits(words: Sequence[str], index: int, table: Mapping[str, str]) -> bool:
    near = [*words[max(0, index - 1) : index], *words[index + 1 : index + 2]]
    return any(word.isdecimal() or word in table or word in _TIMES or word in _OH for word in near)
