"""What a simulated caller can be told to do, in the words of a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from callengine.cli.simulation.script import (
    Action,
    HangUp,
    Hears,
    Interrupt,
    Play,
    Press,
    Say,
    Wait,
    parse_action,
    parse_typed,
    read_script,
)
from callengine.errors import ConfigurationError


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("say I would like #2, please", Say("I would like #2, please")),
        ("SAY  Hello", Say("Hello")),
        ("play no wait.wav", Play(Path("calls/no wait.wav"))),
        ("press 12#", Press("12#")),
        ("press 1 2 *", Press("12*")),
        ("press #", Press("#")),
        ("wait 1.5", Wait(1.5)),
        ("hears good evening | good morning", Hears(("good evening", "good morning"))),
        ("hears", Hears()),
        ("interrupt after 0.8", Interrupt(0.8)),
        ("hang up", HangUp()),
        ("hangup", HangUp()),
        ("   ", None),
    ],
)
def test_actions(line: str, action: Action | None) -> None:
    assert parse_action(line, folder=Path("calls")) == action


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("shout hello", "'shout' is no action"),
        ("say", "say what"),
        ("press 1x", "press wants keys"),
        ("wait long", "'long' is no time"),
        ("wait -1", "'-1' is no time"),
        ("wait nan", "'nan' is no time"),
        ("interrupt 0.8", "interrupt after SECONDS"),
        ("hang up now", "is no action"),
        ("hangup now", "stands alone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(line: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_action(line)


def test_a_typed_line_is_said_unless_it_is_a_command() -> None:
    assert parse_typed("press 1\n") == Say("press 1")
    assert parse_typed("/press 1") == Press("1")
    assert parse_typed("/hangup") == HangUp()
    assert parse_typed("\n") is None


def test_a_script_has_comments_and_its_files_beside_it(tmp_path: Path) -> None:
    script = tmp_path / "call.txt"
    script.write_text("# a call\n\nhears  # anything\nplay hello.wav\n  # the end\npress 1#\nhang up\n")
    assert read_script(script) == (Hears(), Play(tmp_path / "hello.wav"), Press("1#"), HangUp())


def test_a_bad_script_is_refused_by_line(tmp_path: Path) -> None:
    script = tmp_path / "call.txt"
    script.write_text("wait 1\nwaltz 2\n")
    with pytest.raises(ConfigurationError, match=r"call\.txt, line 2: 'waltz' is no action"):
        read_script(script)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_script(tmp_path / "none.txt")
