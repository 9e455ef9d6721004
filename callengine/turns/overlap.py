"""Whether what the recogniser heard is the agent's own voice, coming back through the caller's telephone."""

from __future__ import annotations

from collections.abc import Sequence

from callengine.errors import ConfigurationError
from callengine.turns.numerals import numerals
from callengine.turns.phrases import normal

GAP = 2
"""Words that may be misheard, left out or put in between two runs of the agent's words."""
OWN = 2
"""Words that may stand before the first run, or behind the last: more of them are the caller's."""

_DIGITS = numerals("en")
_Run = tuple[int, int, int]
"""Where a run begins in the candidate and in what was said, and its length in words."""


def echoes(candidate: str, said: str, *, min_words: int = 5, share: float = 0.6) -> bool:
    """Whether ``candidate``, a transcript, is the agent's own words of ``said`` coming back.

    It is with at least ``min_words`` words of the agent, in runs in its order, which are at least ``share`` of the
    candidate, with no more than `GAP` words between runs and `OWN` at either end. So what a caller says behind an echo
    is his.

    Callers repeat three and four words to confirm ("Saturday at half past seven?"), hence five. Measured by `tests/
    turns/test_turns_overlap.py`: of echoes of 6 to 14 words 98 % are recognised with a tenth of the words misheard, and
    92 % with a fifth; of 132 pairs of a reply with something that the agent said, none is taken for an echo. With a
    ``min_words`` of 4 it is 99 and 95 %, and two callers lose their words.

    Raises `ConfigurationError` for a ``min_words`` below 1 or a ``share`` outside 0 to 1.
    """
    if min_words < 1 or not 0 < share <= 1:
        raise ConfigurationError(f"min_words is {min_words} and share {share}: give 1 or more, and above 0 up to 1")
    heard = _words(candidate)
    if len(heard) < min_words:
        return False
    return _overlap(heard, _words(said)) >= max(min_words, share * len(heard))


def _words(text: str) -> list[str]:
    # recognisers write figures where the agent's text has words, and the other way round
    return [_DIGITS.get(word, word) for word in normal(text).split()]


def _overlap(heard: Sequence[str], said: Sequence[str]) -> int:
    """Words of ``heard`` in the best chain of runs that leaves no more than `OWN` words at either end; 0 without."""
    best: list[tuple[_Run, int]] = []
    most = 0
    for run in _runs(heard, said):
        begin, _, size = run
        before = [words for earlier, words in best if _follows(run, earlier)]
        if not before and begin > OWN:
            continue
        words = size + max(before, default=0)
        best.append((run, words))
        if begin + size >= len(heard) - OWN:
            most = max(most, words)
    return most


def _follows(run: _Run, earlier: _Run) -> bool:
    gap = run[0] - earlier[0] - earlier[2]
    skipped = run[1] - earlier[1] - earlier[2]
    return 0 <= gap <= GAP and 0 <= skipped <= GAP


def _runs(heard: Sequence[str], said: Sequence[str]) -> list[_Run]:
    """The longest runs of words that both have, by where they begin in ``heard``."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(said):
        places.setdefault(word, []).append(place)
    open_: dict[int, int] = {}
    """Where the runs that go on end in ``said``, with where each began in ``heard``."""
    runs: list[_Run] = []
    for index in range(len(heard) + 1):
        here = places.get(heard[index], ()) if index < len(heard) else ()
        going = {place: open_.pop(place - 1, index) for place in here}
        runs += [(begin, end - (index - 1 - begin), index - begin) for end, begin in open_.items() if index - begin > 0]
        open_ = going
    return sorted(runs)
