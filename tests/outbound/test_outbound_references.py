"""The engine's own names: they cannot be guessed, are about one thing, and are forgotten in time."""

from __future__ import annotations

import re

import pytest
import trio

from callengine.switchboard.references import References, Seen, new_name


async def test_a_name_says_what_it_is_about_until_its_time_is_up(autojump_clock):
    references = References[str]()
    references.put("name", "a transfer", 30.0)

    await trio.sleep(29.9)
    assert references.get("name") == "a transfer"
    await trio.sleep(0.2)
    assert references.get("name") is None
    assert references.pop("name") is None


async def test_what_was_popped_is_forgotten_and_what_was_got_is_not(autojump_clock):
    references = References[str]()
    references.put("name", "a transfer", 30.0)

    assert [references.get("name"), references.get("name")] == ["a transfer"] * 2
    assert [references.pop("name"), references.pop("name")] == ["a transfer", None]
    assert references.get("name") is None


async def test_a_name_that_was_never_given_is_about_nothing(autojump_clock):
    assert References[str]().get("../../voice") is None
    assert References[str]().pop("") is None


async def test_names_cannot_be_guessed_and_may_stand_in_a_path(autojump_clock):
    names = [new_name() for _ in range(1000)]

    assert len(set(names)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", name) for name in names)


async def test_of_more_than_the_limit_the_oldest_is_forgotten(autojump_clock):
    references = References[int](limit=3)
    for number in range(5):
        references.put(str(number), number, 30.0)

    assert [references.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]


async def test_expired_names_make_room_before_live_ones_are_forgotten(autojump_clock):
    references = References[str](limit=2)
    references.put("long", "kept", 100.0)
    references.put("short", "gone", 1.0)
    await trio.sleep(2)
    references.put("new", "kept too", 100.0)

    assert (references.get("long"), references.get("short"), references.get("new")) == ("kept", None, "kept too")


async def test_a_name_that_is_put_again_pushes_nobody_out(autojump_clock):
    references = References[str](limit=2)
    references.put("first", "1", 10.0)
    references.put("second", "2", 10.0)
    await trio.sleep(5)
    references.put("second", "2 again", 10.0)
    await trio.sleep(4)

    assert references.get("first") == "1"
    await trio.sleep(3)
    assert references.get("second") == "2 again"


def test_a_repetition_is_not_the_first_time_and_others_are():
    seen = Seen()

    assert [seen.first(name) for name in ("a", "b", "a", "a", "b")] == [True, True, False, False, False]


@pytest.mark.parametrize("limit", [1, 10, 1000])
def test_of_the_names_that_came_only_the_last_ones_are_kept(limit):
    seen = Seen(limit)
    for number in range(limit + 1):
        seen.first(str(number))

    assert not seen.first(str(limit))
    assert seen.first("0")  # forgotten: the limit is kept to


async def test_ten_thousand_names_are_remembered_and_no_more(autojump_clock, monkeypatch):
    references = References[int]()
    monkeypatch.setattr(references, "_forget_expired", lambda: None)  # which looks at all of them, each time
    for number in range(10_001):
        references.put(str(number), number, 30.0)

    assert references.get("0") is None
    assert references.get("1") == 1
