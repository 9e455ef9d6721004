"""The programs of the README run, exactly as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from callengine import Agent, JournalSettings
from callengine.ports import ToolCall
from callengine.testing.clouds import Answers, Busy, Machine
from callengine.testing.vendors import in_memory
from callengine.testing.vendors.anthropic import FakeAnthropic
from callengine.testing.vendors.assemblyai import FakeAssemblyAI
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.vendors.elevenlabs import FakeElevenLabs
from callengine.testing.vendors.openai_chat import FakeOpenAIChat

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_six_line_program_serves_an_agent(monkeypatch):
    served = []
    monkeypatch.setattr(trio, "run", served.append)
    scope: dict[str, object] = {}
    exec(PROGRAMS[0], scope)
    assert served == [scope["engine"].serve]
    assert scope["engine"].agent.prompt == "You take bookings for Chez Trio. Be brief."


@pytest.mark.parametrize(
    ("answer", "heard"), [("Yes, I will.", "Wonderful, see you then."), ("I can not.", None), (None, None)]
)
async def test_the_story_is_a_call(call_lab, answer, heard):
    scope: dict[str, object] = {}
    exec(PROGRAMS[1], scope)
    async with call_lab.dial(scope["reminder"]) as caller:
        await caller.hears("eight tonight?")
        if answer is not None:
            await caller.says(answer)
        if heard is not None:
            await caller.hears(heard)
        await caller.is_hung_up_on()
    call_lab.assert_nothing_left()


async def test_the_story_that_asks_for_digits_and_a_number_is_a_call(call_lab):
    scope: dict[str, object] = {}
    exec(PROGRAMS[2], scope)
    async with call_lab.dial(scope["pin"]) as caller:
        await caller.hears("four digits.")
        await caller.presses("1234")
        await caller.hears("phone number?")
        for piece in ("five five five", "oh one two", "three four seven seven"):
            await caller.says(piece)
            await caller.waits(0.8)
        await caller.hears("may be recorded.")
        await caller.is_hung_up_on()
    assert [turn.caller for turn in call_lab.call.outcome.turns if "five" in turn.caller] == [
        "five five five oh one two three four seven seven"
    ]
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("phone", "said"), [(Answers(), "answered"), (Busy(), "busy"), (Machine(), "voicemail")])
async def test_somebody_is_called(call_lab, capsys, phone, said):
    scope: dict[str, object] = {}
    exec(PROGRAMS[1], scope)
    exec(PROGRAMS[4], scope)
    async with call_lab.network(scope["reminder"]) as network, trio.open_nursery() as nursery:
        network.phone("+12025550123", phone)
        nursery.start_soon(scope["remind"], network.engine)
        if not isinstance(phone, Busy):
            person = await network.answered("+12025550123")
            await person.hears("Please call us back." if isinstance(phone, Machine) else "at eight tonight?")
    assert capsys.readouterr().out.startswith(said)
    call_lab.assert_nothing_left()


@pytest.mark.parametrize("phone", [Answers(), Busy()])
async def test_a_caller_is_put_through_or_told_that_nobody_is_free(call_lab, phone):
    scope: dict[str, object] = {}
    exec(PROGRAMS[5], scope)
    async with call_lab.network(scope["desk"], agent=scope["agent"]) as network:
        network.phone("+12025550199", phone)
        caller = network.rings()
        await caller.hears("find somebody for you.")
        if isinstance(phone, Busy):
            await caller.hears("I have sent you a text message.")
            assert [text.text for text in network.cloud.texts] == ["We call you back today. Chez Trio"]
        else:
            human = await network.answered("+12025550199")
            await human.hears("a wedding for eighty. Will you take the call?")
            await human.presses("1")
            await human.hears("putting you through.")
            await human.waits(1)
            await human.says("Weddings, good evening.")
            await caller.hears("Weddings, good evening.")
    call_lab.assert_nothing_left()


async def test_the_agent_of_the_page_on_turn_taking_can_be_called(call_lab):
    page = (ROOT / "docs" / "turn_taking.md").read_text(encoding="utf-8")
    scope: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], scope)
    call_lab.llm.replies("For how many?")
    async with call_lab.dial(scope["agent"]) as caller:
        await caller.says("A table, please.")
        await caller.hears("For how many?")
    call_lab.assert_nothing_left()


def test_the_virtual_time_test_runs_alone_under_plain_pytest(tmp_path):
    agent = PROGRAMS[0].replace("trio.run(engine.serve)", "")
    (tmp_path / "my_agent.py").write_text(agent, encoding="utf-8")
    (tmp_path / "test_my_agent.py").write_text(PROGRAMS[6], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_my_agent.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


async def test_a_call_can_be_looked_at_afterwards(call_lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call_lab.llm.replies("For how many?")
    agent = Agent(prompt="You take bookings.", greeting="Hello!")
    journal = JournalSettings(audio=True, directory="calls")
    async with call_lab.dial(agent, journal=journal) as caller:
        await caller.hears("Hello!")
        await caller.says("A table, please.")
        await caller.hears("For how many?")
    exec(PROGRAMS[7], {})
    name = call_lab.call.id
    assert (tmp_path / "calls" / f"{name}.html").read_text(encoding="utf-8").startswith("<!")
    assert (tmp_path / "calls" / f"{name}.wav").stat().st_size > 50_000
    assert "A table, please." in capsys.readouterr().out


def test_both_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)


def test_every_file_that_is_named_exists():
    for path in re.findall(r"\]\((docs/[^)]+)\)", README) + re.findall(r"`(tests/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path


async def test_the_agent_of_several_vendors_is_answered_by_those_that_work(call_lab, monkeypatch):
    """Given that the first of each refuses, is broken or unreachable, the caller notices nothing."""
    words = call_lab.vocabulary
    deepgram, assemblyai = FakeDeepgram(words), FakeAssemblyAI(words)
    openai, anthropic = FakeOpenAIChat(), FakeAnthropic()
    elevenlabs, cartesia = FakeElevenLabs(words), FakeCartesia(words)
    for vendor in (deepgram, assemblyai, openai, anthropic, elevenlabs, cartesia):
        monkeypatch.setenv(
            f"{type(vendor).__name__.removeprefix('Fake').removesuffix('Chat').upper()}_API_KEY", vendor.key
        )
    scope: dict[str, object] = {}
    exec(PROGRAMS[3], scope)
    deepgram.refuse(401, "the key is revoked", times=100)
    openai.refuse(503, "overloaded", times=100)
    elevenlabs.faults.unreachable = 100
    anthropic.replies(ToolCall("toolu_1", "free_tables", '{"day": "friday"}'))
    anthropic.replies("We have a table for two at eight.")
    async with (
        in_memory(deepgram, assemblyai, openai, anthropic, elevenlabs, cartesia) as wire,
        call_lab.dial(scope["agent"], real={"stt"}, wire=wire) as caller,
    ):
        await caller.hears("How can I help?")
        await caller.says("A table for two on Friday, please.")
        await caller.hears("at eight.")
    assert [turn.heard for turn in call_lab.call.outcome.turns] == [
        "Chez Trio, good evening! How can I help?",
        "Let me look. We have a table for two at eight.",
    ]
    call_lab.assert_nothing_left()
