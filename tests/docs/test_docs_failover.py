"""The program of docs/failover.md runs, and what the page says of settings is so."""

import re
from pathlib import Path

import attrs

from callengine import CallSettings

PAGE = (Path(__file__).parents[2] / "docs" / "failover.md").read_text(encoding="utf-8")


def test_its_program_makes_an_agent(monkeypatch):
    for vendor in ("DEEPGRAM", "ASSEMBLYAI", "OPENAI", "ANTHROPIC", "ELEVENLABS", "CARTESIA"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "a-key")
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope = {}
    exec(program, scope)
    agent = scope["agent"]
    assert [len(agent.stt), len(agent.llm), len(agent.tts)] == [3, 2, 2]


def test_the_settings_that_it_names_exist_with_their_defaults():
    defaults = attrs.asdict(CallSettings(), recurse=False)
    named = re.findall(r"`CallSettings\.(\w+)`(?: \((\d+) s\))?", PAGE)
    assert named
    for name, seconds in named:
        assert name in defaults
        assert not seconds or defaults[name] == float(seconds)
