"""``module:engine``: found, or what is there instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callengine import ConfigurationError
from callengine.cli.target import BadTarget, load_engine

MODULE = """
from callengine import Agent, Engine
agent = Agent(greeting="Hello?")
other = Engine(agent, port=4711)
class box:
    engine = other
async def story(call): ...
number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module in it, which is the current one."""
    (tmp_path / "answering.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["answering:other", "answering:box.engine"])
def test_an_engine_is_found_in_the_current_folder(target: str) -> None:
    assert load_engine(target).port == 4711


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("answering", "not of the form module:engine"),
        (":engine", "not of the form module:engine"),
        ("answering:", "not of the form module:engine"),
        ("answering.py:other", "answering:other"),
        ("./answering.py:other", "answering:other"),
        ("answerign:other", "there: answering"),
        ("answering.sub:other", "no module 'answering.sub'"),
        ("answering:engine", "its engines: other"),
        ("answering:agent", "engine = Engine(agent)"),
        ("answering:story", "engine = Engine(story)"),
        ("answering:number", "is a int, not an engine"),
    ],
)
def test_what_is_no_engine_is_explained(target: str, said: str) -> None:
    with pytest.raises(BadTarget, match=r"callengine serve|give its module|an engine") as raised:
        load_engine(target)
    assert said in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("source", "cause"), [("import not_there", ModuleNotFoundError), ("1 / 0", ZeroDivisionError), ("if", SyntaxError)]
)
def test_a_module_that_raises_keeps_its_error(folder: Path, source: str, cause: type[Exception]) -> None:
    (folder / "broken.py").write_text(source)
    with pytest.raises(BadTarget, match="broken cannot be imported") as raised:
        load_engine("broken:engine")
    assert isinstance(raised.value.__cause__, cause)


def test_a_module_without_engines_says_what_to_do(folder: Path) -> None:
    (folder / "agents.py").write_text("from callengine import Agent\nhelper = Agent(greeting='Hello?')")
    with pytest.raises(BadTarget, match=r"an agent \(helper\): make one, engine = Engine\(helper\)"):
        load_engine("agents:engine")


def test_our_own_errors_come_out_as_they_are(folder: Path) -> None:
    (folder / "wrong.py").write_text("from callengine import Agent\nagent = Agent(greeting='Hello?', aec='loud')")
    with pytest.raises(ConfigurationError, match="aec"):
        load_engine("wrong:agent")
