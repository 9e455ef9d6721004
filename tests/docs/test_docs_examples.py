"""Every example of the documentation runs: as a call."""

import datetime
import importlib.util
import sys
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def load(folder: str, name: str):
    """The module of an example, as `callengine serve name:engine` would import it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    names = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert names == {"agent", "asterisk", "reminder", "survey", "narrow_job", "beside_an_app"}
    for name in names:
        assert len((EXAMPLES / name / "README.md").read_text().splitlines()) <= 5


async def test_the_agent_greets_and_answers(call_lab):
    example = load("agent", "agent")
    call_lab.llm.replies("For how many?")
    async with call_lab.dial(example.agent) as caller:
        await caller.hears("How can I help?")
        await caller.says("I would like a table.")
        await caller.hears("For how many?")
    call_lab.assert_nothing_left()


@pytest.mark.parametrize(("answer", "last"), [("Yes, of course.", "see you then"), ("No.", None)])
async def test_the_reminder_asks_and_hangs_up(call_lab, answer, last):
    example = load("reminder", "reminder")
    async with call_lab.dial(example.reminder) as caller:
        await caller.hears("eight tonight?")
        await caller.says(answer)
        if last is not None:
            await caller.hears(last)
        await caller.is_hung_up_on()
    assert call_lab.call.outcome.ended_by == "agent"
    call_lab.assert_nothing_left()


async def test_the_survey_keeps_what_was_said(live_call_lab):
    example = load("survey", "survey")
    live_call_lab.stt.final_delay = 0.01
    async with live_call_lab.dial(example.survey) as caller:
        await caller.hears("dinner?")
        await caller.says("Good.")
        await caller.hears("again?")
        await caller.hangs_up()
    assert example.answers == ["Good."]
    live_call_lab.assert_nothing_left()


async def test_the_clinic_moves_an_appointment(call_lab):
    example = load("narrow_job", "clinic")
    monday = datetime.datetime(2026, 11, 23, 10)
    async with call_lab.dial(example.agent, today=lambda: monday) as caller:
        await caller.hears("Tuesday at nine?")
        await caller.says("I can not make it.")
        await caller.hears("Which day suits you?")
        await caller.says("Thursday at half past ten.")
        await caller.hears("Is that right?")
        await caller.says("Yes.")
        await caller.hears("We see you")
        await caller.says("Goodbye.")
        await caller.is_hung_up_on()
    assert list(example.moved.values()) == [(datetime.date(2026, 11, 26), datetime.time(10, 30))]
    call_lab.assert_nothing_left()


async def test_the_application_beside_the_engine_sees_the_calls(live_call_lab):
    example = load("beside_an_app", "beside")
    async with live_call_lab.engine(example.agent, app=example.engine._app) as engine:
        engine.on_call_end(example.keep)
        async with live_call_lab.dial(engine) as caller:
            await caller.hears("hello!")
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{engine.port}/calls")
    assert answer.json() == example.calls
    assert "ended by caller" in example.calls[0]


async def test_the_agent_behind_an_asterisk_answers(call_lab):
    example = load("asterisk", "pbx")
    async with call_lab.dial(example.agent, carrier="audiosocket") as caller:
        await caller.hears("Hotel Trio, good evening!")
    assert list(example.engine.carriers) == ["audiosocket"]
    call_lab.assert_nothing_left()
