"""Keys and entries: tables of what is pressed and what comes of it, and arbitrary keys that keep the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from callengine.errors import ConfigurationError
from callengine.turns.digits import (
    Action,
    DigitCollector,
    DigitsCleared,
    DigitsEntered,
    DigitSettings,
    KeyIgnored,
)

# --- a shorthand ----------------------------------------------------------------------------------------------------


def short(action: Action) -> str:
    match action:
        case DigitsEntered(digits=digits, ended_by=ended_by):
            return f"{digits} by {ended_by}"
        case DigitsCleared():
            return "cleared"
        case KeyIgnored():
            return "ignored"


def entered(keys: list[tuple[float, str]], *, until: float = 100.0, **settings) -> list[tuple[float, str]]:
    """Everything that comes of these keys, and when: the collector is asked whenever it wants to be."""
    collector = DigitCollector(DigitSettings(**settings))
    rows: list[tuple[float, str]] = []

    def ticks(before: float) -> None:
        while collector.next_check < before:
            at = collector.next_check
            rows.extend((at, short(action)) for action in collector.tick(at))
            assert collector.next_check > at

    for at, key in keys:
        ticks(at)
        rows.extend((at, short(action)) for action in collector.pressed(at, key))
    ticks(until)
    return rows


def keyed(digits: str, *, start: float = 1.0, every: float = 0.2) -> list[tuple[float, str]]:
    return [(start + every * index, digit) for index, digit in enumerate(digits)]


# --- where an entry ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "settings", "rows"),
    [
        pytest.param(keyed("12#", every=0.5), {}, [(2.0, "12 by terminator")], id="the terminator ends it at once"),
        pytest.param(keyed("12", every=0.5), {}, [(4.5, "12 by pause")], id="no key for 3 s ends it"),
        pytest.param(
            keyed("12", every=0.5), {"inter_digit": 1.25}, [(2.75, "12 by pause")], id="the pause is a setting"
        ),
        pytest.param(
            keyed("1234", every=0.5), {"max_length": 4}, [(2.5, "1234 by length")], id="the last key ends it at once"
        ),
        pytest.param(
            keyed("12345", every=0.5),
            {"max_length": 4},
            [(2.5, "1234 by length"), (6.0, "5 by pause")],
            id="a key too many begins the next entry",
        ),
        pytest.param(
            keyed("12*#", every=0.5), {"terminator": "*"}, [(2.0, "12 by terminator"), (5.5, "# by pause")],
            id="the terminator is a setting",
        ),
        pytest.param(keyed("1#", every=0.5), {"terminator": None}, [(4.5, "1# by pause")], id="no terminator"),
        pytest.param([(1.0, "#")], {}, [(1.0, " by terminator")], id="a terminator alone: nothing keyed in"),
        pytest.param(
            keyed("#1#", every=0.5), {}, [(1.0, " by terminator"), (2.0, "1 by terminator")], id="and then something"
        ),
        pytest.param(keyed("0*ABCD#", every=0.5), {}, [(4.0, "0*ABCD by terminator")], id="keys that few have"),
        pytest.param(
            [(1.0, "1"), (3.75, "2"), (6.5, "#")], {}, [(6.5, "12 by terminator")], id="each key is waited for anew"
        ),
        pytest.param(
            [(1.0, "1"), (4.0, "2")],
            {},
            [(4.0, "1 by pause"), (7.0, "2 by pause")],
            id="a key at the very end of the pause begins the next entry",
        ),
    ],
)  # fmt: skip
def test_where_an_entry_ends(keys, settings, rows):
    assert entered(keys, **settings) == rows


@pytest.mark.parametrize(
    ("keys", "settings", "rows"),
    [
        pytest.param(
            keyed("1234#", every=0.5),
            {"max_length": 4},
            [(2.5, "1234 by length"), (3.0, "ignored")],
            id="a terminator after the last key belongs to the entry",
        ),
        pytest.param(
            keyed("1234##", every=0.5),
            {"max_length": 4},
            [(2.5, "1234 by length"), (3.0, "ignored"), (3.5, " by terminator")],
            id="but only one",
        ),
        pytest.param(
            [*keyed("1234", every=0.5), (5.5, "#")],
            {"max_length": 4},
            [(2.5, "1234 by length"), (5.5, " by terminator")],
            id="and only for a while",
        ),
        pytest.param(
            [*keyed("1234", every=0.5), (2.75, "5"), (3.0, "#")],
            {"max_length": 4},
            [(2.5, "1234 by length"), (3.0, "5 by terminator")],
            id="and only as the next key",
        ),
        pytest.param(
            [(1.0, "1"), (4.5, "#")], {}, [(4.0, "1 by pause"), (4.5, "ignored")], id="one after the pause, too"
        ),
        pytest.param(
            keyed("12##", every=0.5), {}, [(2.0, "12 by terminator"), (2.5, " by terminator")],
            id="none where the entry had its terminator",
        ),
    ],
)  # fmt: skip
def test_a_terminator_that_comes_too_late_is_swallowed(keys, settings, rows):
    assert entered(keys, **settings) == rows


def test_the_clear_key_begins_the_entry_again():
    assert entered(keyed("12*34#", every=0.5), clear_key="*") == [(2.0, "cleared"), (3.5, "34 by terminator")]


def test_without_a_clear_key_the_star_is_a_key_like_others():
    assert entered(keyed("1*2#", every=0.5)) == [(2.5, "1*2 by terminator")]


def test_nothing_is_pending_once_an_entry_was_cleared():
    collector = DigitCollector(DigitSettings(clear_key="*"))
    collector.pressed(1.0, "1")
    assert collector.pending
    assert collector.pressed(1.5, "*") == [DigitsCleared("the clear key came after 1 key")]
    assert not collector.pending
    assert collector.next_check == math.inf


def test_keys_come_with_their_times():
    collector = DigitCollector(DigitSettings())
    collector.pressed(1.0, "1")
    collector.pressed(1.75, "2")
    (entry,) = collector.pressed(2.5, "#")
    assert (entry.digits, entry.times) == ("12", (1.0, 1.75))


@pytest.mark.parametrize("digit", ["", "12", "E", "w", "١", "\n"])
def test_what_is_no_key_is_ignored_and_counted(digit):
    collector = DigitCollector(DigitSettings())
    collector.pressed(1.0, "1")
    assert collector.pressed(1.5, digit) == [KeyIgnored("not a key of a telephone")]
    assert collector.ignored == 1
    assert collector.next_check == 4.0
    (entry,) = collector.pressed(2.0, "#")
    assert entry.digits == "1"


def test_what_is_no_key_does_not_keep_an_entry_open():
    collector = DigitCollector(DigitSettings())
    collector.pressed(1.0, "1")
    assert [short(action) for action in collector.pressed(4.0, "?")] == ["1 by pause", "ignored"]


def test_being_asked_late_changes_nothing():
    """Given a pause that was noticed 2 s late, then a terminator still belongs to the entry until 3 s after its end."""
    collector = DigitCollector(DigitSettings())
    collector.pressed(1.0, "1")
    assert [short(action) for action in collector.tick(6.0)] == ["1 by pause"]
    assert [short(action) for action in collector.pressed(7.5, "#")] == [" by terminator"]


def test_flush_ends_the_entry_that_is_under_way():
    collector = DigitCollector(DigitSettings())
    assert collector.flush(0.5) == []
    collector.pressed(1.0, "1")
    assert [short(action) for action in collector.flush(1.5)] == ["1 by flush"]
    assert collector.flush(1.5) == []
    assert collector.next_check == math.inf


# --- an entry that is expected --------------------------------------------------------------------------------------


def test_an_expected_length_holds_until_it_is_taken_back():
    collector = DigitCollector(DigitSettings())
    assert collector.expect(DigitSettings(max_length=2)) == []
    collector.pressed(1.0, "1")
    assert [short(action) for action in collector.pressed(1.5, "2")] == ["12 by length"]
    assert collector.expect(None) == []
    collector.pressed(2.0, "3")
    collector.pressed(2.5, "4")
    assert collector.pressed(3.0, "5") == []
    assert [short(action) for action in collector.pressed(3.5, "#")] == ["345 by terminator"]


def test_keys_that_came_before_they_were_asked_for_count():
    collector = DigitCollector(DigitSettings())
    collector.pressed(1.0, "1")
    collector.pressed(1.5, "2")
    assert collector.expect(DigitSettings(max_length=4)) == []
    collector.pressed(2.0, "3")
    (entry,) = collector.pressed(2.5, "4")
    assert (entry.digits, entry.times) == ("1234", (1.0, 1.5, 2.0, 2.5))


def test_more_keys_than_an_expected_entry_has_are_whole_entries_and_the_rest():
    collector = DigitCollector(DigitSettings(terminator=None))
    for at, digit in keyed("12345"):
        collector.pressed(at, digit)
    actions = collector.expect(DigitSettings(max_length=2))
    assert [short(action) for action in actions] == ["12 by length", "34 by length"]
    assert collector.pending
    assert [short(action) for action in collector.pressed(2.0, "#")] == ["5 by terminator"]


def test_a_late_terminator_is_swallowed_whatever_is_expected_next():
    collector = DigitCollector(DigitSettings(max_length=1))
    collector.pressed(1.0, "1")
    collector.expect(DigitSettings(terminator=None))
    assert [short(action) for action in collector.pressed(1.5, "#")] == ["ignored"]


# --- settings and secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 0}, "max_length is 0: give 1 or more, or None"),
        ({"terminator": "##"}, "terminator is '##': give one of the keys"),
        ({"terminator": ""}, "terminator is ''"),
        ({"clear_key": "x"}, "clear_key is 'x'"),
        ({"clear_key": "#"}, "clear_key and terminator are both '#'"),
        ({"inter_digit": 0.0}, "inter_digit is 0.0: give seconds above 0"),
        ({"inter_digit": math.inf}, "inter_digit is inf"),
        ({"inter_digit": math.nan}, "inter_digit is nan"),
    ],
)
def test_settings_that_cannot_work_say_what_to_do(settings, message):
    with pytest.raises(ConfigurationError, match=message.replace("*", r"\*")):
        DigitSettings(**settings)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("7777#", "the terminator came after 4 keys"),
        ("777777", "6 keys, as many as an entry has"),
        ("7", "no key for 3 s after 1 key"),
    ],
)
def test_reasons_are_for_people(keys, reason):
    collector = DigitCollector(DigitSettings(max_length=6))
    actions = [action for at, digit in keyed(keys) for action in collector.pressed(at, digit)]
    actions += collector.tick(10.0)
    assert [action.reason for action in actions] == [reason]


@given(digits=st.text("0123456789", min_size=9, max_size=9), end=st.sampled_from(["#", "*", "flush", "pause"]))
def test_no_repr_or_reason_shows_a_digit(digits, end):
    """Nine digits are found in no time, and in no count, by chance."""
    collector = DigitCollector(DigitSettings(clear_key="*"))
    shown = []
    for digit in digits:
        collector.pressed(1.0, digit)
        shown.append(repr(collector._keys))
    shown.append(repr(collector))
    actions = collector.flush(1.0) if end == "flush" else collector.tick(9.0)
    if end in "#*":
        actions = collector.pressed(1.0, end)
    assert len(actions) == 1
    shown += [repr(actions), str(actions), actions[0].reason]
    assert not any(digits in text for text in shown)
    assert all("digit=" not in text and "digits=" not in text for text in shown)


# --- whatever is pressed --------------------------------------------------------------------------------------------

SETTINGS = st.builds(
    DigitSettings,
    max_length=st.none() | st.integers(1, 5),
    terminator=st.sampled_from([None, "#", "*", "5"]),
    inter_digit=st.sampled_from([0.5, 1.0, 3.0]),
)
PRESSES = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, 3.0, 4.0]), st.sampled_from("0125#*Dx")))


@hypothesis_settings(max_examples=500, deadline=None)
@given(settings=SETTINGS, presses=PRESSES, asked=st.booleans(), flushed=st.booleans())
def test_every_key_is_in_exactly_one_entry_in_order(settings, presses, asked, flushed):
    """Whether the collector is asked when it wants to be, or only when the next key comes."""
    collector = DigitCollector(settings)
    now, given_keys, entries, ignored, terminators = 0.0, [], [], 0, 0

    def take(actions):
        nonlocal ignored
        for action in actions:
            if isinstance(action, DigitsEntered):
                entries.append(action)
            else:
                assert isinstance(action, KeyIgnored)
                ignored += 1

    for wait, digit in presses:
        now += wait
        while asked and collector.next_check <= now:
            at = collector.next_check
            take(collector.tick(at))
            assert collector.next_check > at
        before = ignored
        take(collector.pressed(now, digit))
        if digit == settings.terminator:
            terminators += 1
        elif digit == "x":
            assert ignored == before + 1
        else:
            assert ignored == before
            given_keys.append((now, digit))
        assert collector.pending == (collector.next_check < math.inf)
        assert not collector.pending or now < collector.next_check <= now + settings.inter_digit
    take(collector.flush(now) if flushed else collector.tick(now + 10))
    assert collector.next_check == math.inf
    assert [(at, digit) for entry in entries for at, digit in zip(entry.times, entry.digits, strict=True)] == given_keys
    assert collector.ignored == ignored
    assert all(settings.max_length is None or len(entry.digits) <= settings.max_length for entry in entries)
    for entry in entries:
        assert entry.digits or entry.ended_by == "terminator"
        assert (entry.ended_by == "length") == (len(entry.digits) == settings.max_length)
        assert all(b - a < settings.inter_digit for a, b in zip(entry.times, entry.times[1:], strict=False))
    by_terminator = sum(1 for entry in entries if entry.ended_by == "terminator")
    assert by_terminator + ignored == terminators + sum(1 for _, digit in presses if digit == "x")


@given(presses=PRESSES, first=SETTINGS, second=SETTINGS | st.none(), when=st.integers(0, 20))
def test_no_key_is_lost_or_doubled_when_expectations_change(presses, first, second, when):
    collector = DigitCollector(first)
    now, order, actions = 0.0, [], []
    for index, (wait, digit) in enumerate(presses):
        now += wait
        actions += collector.tick(now)
        if index == when:
            actions += collector.expect(second)
        if digit in "012D":  # no terminator in either of the settings
            order.append(digit)
            actions += collector.pressed(now, digit)
    longest = max((first if second is None else second).max_length or 99, first.max_length or 99)
    actions += collector.flush(now)
    assert "".join(action.digits for action in actions) == "".join(order)
    assert all(len(action.digits) <= longest for action in actions)
