"""The journal's table is complete and true: every kind, every key, every decision."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import attrs
import pytest
from talking import busy_call

import callengine
from callengine import journal

PACKAGE = Path(callengine.__file__).parent


@attrs.frozen
class Row:
    """What the table says of a kind."""

    always: frozenset[str]
    sometimes: frozenset[str]


def table() -> dict[str, Row]:
    """The table in the journal's docstring: keys are separated by commas, remarks stand in parentheses."""
    text = journal.__doc__.split("\n===")[1].partition("\n")[2]
    rows: dict[str, str] = {}
    for line in text.splitlines():
        found = re.match(r"``([a-z_.]+)`` +(.*)", line)
        if found is not None:
            kind, rest = found.groups()
            rows[kind] = rest
        else:
            rows[kind] += f" {line.strip()}"
    parsed = {}
    for kind, rest in rows.items():
        always, _, sometimes = re.sub(r"\([^)]*\)", "", rest).partition(";")
        assert ")" not in always, f"parentheses of {kind}"
        parsed[kind] = Row(
            frozenset(key.strip() for key in always.split(",")), frozenset(re.findall(r"\w+", sometimes))
        )
    return parsed


def notes() -> list[tuple[str, set[str], bool]]:
    """Every `Journal.note` in the source: its kind, its keys, and whether there are more."""
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "note"):
                continue
            if node.args and isinstance(node.args[0], ast.Constant) and (node.keywords or len(node.args) == 1):
                keys = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                found.append((str(node.args[0].value), keys, len(keys) < len(node.keywords)))
    return found


def decided() -> set[str]:
    """Every decision that stands in the source as a word of its own."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            what = next((keyword.value for keyword in node.keywords if keyword.arg == "what"), None)
            if node.func.attr == "_decide":
                what = node.args[0]
            if node.func.attr in ("note", "_decide") and isinstance(what, ast.Constant):
                found.add(str(what.value))
    return found


def test_every_kind_that_is_noted_is_in_the_table_and_no_other() -> None:
    assert {kind for kind, _, _ in notes()} == set(table())


def test_every_key_that_is_noted_is_in_the_table() -> None:
    rows = table()
    for kind, keys, more in notes():
        assert keys <= rows[kind].always | rows[kind].sometimes, kind
        assert more or keys >= rows[kind].always, kind


def test_every_decision_is_in_the_list() -> None:
    listed = set(re.findall(r"``([^`]+)``", journal.__doc__.partition("What is decided:")[2]))
    assert decided() >= {"cut", "fill", "flow", "say goodbye"}  # it finds them at all
    assert decided() <= listed
    words = "\n".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py") if file.name != "journal.py")
    assert not [what for what in listed if f'"{what.removeprefix("no turn: ")}"' not in words]


@pytest.mark.parametrize("mode", ["pause", "duck"])
async def test_everything_in_a_call_is_in_the_table(call_lab, mode: str) -> None:
    # given a call in which nearly everything happens
    books = await busy_call(call_lab, mode=mode, audio=True)
    # then
    rows, listed = table(), journal.__doc__.partition("What is decided:")[2]
    for record in books:
        row = rows[record.kind]
        assert row.always <= set(record.data) <= row.always | row.sometimes, record
        if record.kind == "decision":
            assert f"``{record.data['what']}``" in listed
            assert record.data["reason"]
            assert "\n" not in record.data["reason"]
    kinds = {record.kind for record in books}
    assert kinds >= {"false_interruption", "barge_in", "turn.ended", "dtmf", "reply.resumed", "decision"}
