"""The table of known failures: each number is in it once, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "regressions.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in TABLE.splitlines()
    if re.match(r"\| [RA]\d\d \|", line)
]
FAILURES = [*range(1, 50), *range(57, 61), *range(63, 78)]
SITUATIONS = [*range(1, 55)]
NUMBERS = [f"R{number:02}" for number in FAILURES] + [f"A{number:02}" for number in SITUATIONS]
REASONS = ("Not built yet: ", "Does not apply: ")


@cache
def _tests(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def test_each_number_is_there_once_and_in_order():
    assert [row[0] for row in ROWS] == NUMBERS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_has_a_test_that_exists_or_a_reason(row):
    _, holds, tests = row
    assert holds
    if tests.startswith(REASONS):
        assert "`" not in tests
        return
    names = re.findall(r"`([^`]+)::(test_\w+)`", tests)
    assert ", ".join(f"`{path}::{name}`" for path, name in names) == tests
    for path, name in names:
        assert (ROOT / path).is_file(), f"{path} is gone"
        assert name in _tests(ROOT / path), f"{path} has no {name}"
