"""Names, spellings and postal addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from callengine.turns.entities.kinds import NOTHING, Progress, complete, partial, word_set
from callengine.turns.entities.letters import read_letters
from callengine.turns.numerals import numeral
from callengine.turns.phrases import Phrases, normal

_FRAMES = tuple(
    frame.split()
    for frame in (
        *("my name is", "my name's", "the name is", "the name's", "name is", "it is", "it's", "this is", "i'm", "i am"),
        *("it's under", "it is under", "it should be under", "under the name of", "under the name", "under"),
        *("that's", "that is", "that would be", "that'd be", "my full name is", "you can call me", "call me"),
        *(
            "my email is",
            "my email address is",
            "my e mail is",
            "my e mail address is",
            "the email is",
            "the address is",
        ),
        *("mein name ist", "ich heiße", "ich bin", "me llamo", "mi nombre es", "soy", "je m'appelle", "mon nom est"),
        *("je suis", "c'est", "mi chiamo", "sono", "il mio nome è", "mijn naam is", "ik heet", "ik ben", "meu nome é"),
        *("chamo me", "eu me chamo", "sou"),
    )
)
_PARTICLES = word_set("von van de der den da di la del della dos du le el al bin ibn zu ten ter")
_NO_NAMES = word_set(
    "no nope none nothing nobody what why how who whose where when which that this it you me him her us them one two "
    "table booking reservation order need want have get give know said say thing same already told please hello there "
    "here maybe never yet any some all go going see speak talk think sorry pardon again louder number email mail "
    "phone address name cancel change help card repeat come back later first last middle email's nein nicht kein "
    "keine non nada nee geen não"
)
_COURTESIES = frozenset({"please", "thanks", "bitte", "gracias", "merci", "grazie"})
_STREET = re.compile(
    r"\b(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|place|square|boulevard|blvd|way|close|terrace|crescent|"
    r"highway|parkway|row|hill|gardens|grove|mews|rue|chemin|allée|calle|avenida|paseo|plaza|via|viale|piazza|corso|rua|"
    r"travessa|praça|laan|plein|gracht|kade|weg|platz|allee|ufer|\w+(?:stra(?:ß|ss)e|str|weg|platz|gasse|allee|ufer|straat|"
    r"laan|plein|gracht|kade))\b"
)
_BEFORE_NAME = word_set(
    "rue chemin allée calle avenida paseo plaza via viale piazza corso rua travessa praça avenue boulevard"
)
"""Words for streets that stand before their names in some language."""
_POSTCODE = re.compile(
    r"\b(?:\d{5}(?: \d{4})?|[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|\d{4} ?[a-z]{2}|[a-z]\d[a-z] ?\d[a-z]\d)$"
)
"""Those of the United States and much of Europe, the United Kingdom, the Netherlands, Canada."""


def spelling(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with ``length`` letters; without a length a pause decides, and it is partial."""
    del phrases
    return _spelled(len(read_letters(text)), length)


def _spelled(count: int, length: int | None) -> Progress:
    if not count:
        return NOTHING
    if length is None:
        return partial(f"{count} letters so far")
    return complete(f"{count} of {length} letters") if count >= length else partial(f"{count} of {length} letters")


def name(text: str, length: int | None, phrases: Phrases) -> Progress:
    """A spelled name like a spelling; complete with two names. Of one name nothing is said: it may be all."""
    letters = read_letters(text, code_words=False)
    words = normal(text).split()
    if letters and (len(letters) > 1 or len(words) == 1) and read_letters(words[-1], code_words=False):
        return _spelled(len(letters), length)
    names = bare(words, phrases)
    return complete("a full name") if names is not None and 2 <= len(names) <= 6 else NOTHING


def bare(words: Sequence[str], phrases: Phrases) -> Sequence[str] | None:
    """The words of an answer that is nothing but names, without "my name is" and the like; None if it is more."""
    while words and phrases.skippable(words[0]):
        words = words[1:]
    frames = [len(frame) for frame in _FRAMES if list(words[: len(frame)]) == frame]
    words = words[max(frames, default=0) :]
    while words and words[-1] in _COURTESIES:
        words = words[:-1]
    proper = all(_is_name(word, phrases, inside=0 < i < len(words) - 1) for i, word in enumerate(words))
    return words if words and proper else None


def _is_name(word: str, phrases: Phrases, *, inside: bool) -> bool:
    if inside and word in _PARTICLES:
        return True
    if not word.replace("'", "").isalpha() or "'" in word[2:] or word in _NO_NAMES:
        return False
    lists = (phrases.openers, phrases.binding, phrases.fillers, phrases.backchannels, phrases.stop_words)
    return not any(word in phrases_ for phrases_ in lists) and word not in phrases.numerals


def address(text: str, length: int | None, phrases: Phrases) -> Progress:
    """Complete with street, number and what comes behind them, a town or a postcode; ``length`` has no meaning."""
    del length
    words = normal(text)
    street = _STREET.search(words)
    split = words.split()
    numbers = [i for i, word in enumerate(split) if word[0].isdecimal() or numeral(split, i, phrases.numerals)]
    if not (street or numbers):
        return NOTHING
    if not (street and numbers):
        return partial("a number without a street" if numbers else "a street without a number")
    if _POSTCODE.search(words) and len(numbers) > 1:
        return complete("an address with its postcode")
    place = words[: street.start()].count(" ")
    needed = 2 if split[place] in _BEFORE_NAME and place else 1
    behind = len(split) - 1 - max(place, numbers[0])
    return complete("an address with its town") if behind >= needed else partial("an address without its town")
