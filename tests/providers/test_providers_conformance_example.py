"""The example of docs/adding-a-provider.md, exactly as it stands there, passes the suite."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cases
import pytest
import test_providers_conformance as for_all
import test_providers_conformance_stt as for_recognisers
from cases import Case

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
FAKE, ADAPTER, CASE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    for name, source in (("fake_acme", FAKE), ("acme", ADAPTER)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, f"{name}.py", "exec", dont_inherit=True), module.__dict__)
    yield eval(CASE.strip(), vars(cases))


def plain(module: ModuleType) -> list[Any]:
    """The tests that want nothing but a case."""
    return [
        test
        for name, test in vars(module).items()
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["autojump_clock", "case"]
    ]


@pytest.mark.parametrize("check", plain(for_all) + plain(for_recognisers), ids=lambda check: check.__name__[5:])
async def test_the_example_of_the_page(autojump_clock, acme: Case, check: Any):
    await check(autojump_clock, acme)


def test_there_are_enough_checks():
    assert len(plain(for_all)) >= 10
    assert len(plain(for_recognisers)) >= 10
