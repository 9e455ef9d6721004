"""The call lab itself: it runs as promised, the same way every time, and notices what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import trio

from callengine import Agent
from callengine.testing import CallLab, CarrierSettings
from callengine.testing.virtual import SEED_VARIABLE, seed_scheduler

ROOT = Path(__file__).parents[2]
HELLO = Agent(prompt="Be brief.", greeting="Hello there.")

README_TEST = """
from callengine import Agent

agent = Agent(
    prompt="You take bookings for Chez Trio. Be brief.",
    greeting="Chez Trio, good evening! How can I help?",
)


async def test_caller_can_interrupt(call_lab):
    call_lab.llm.replies("We have a table for two at eight.", "Of course, a table for four.")
    async with call_lab.dial(agent) as caller:
        await caller.hears("How can I help?")
        await caller.says("A table for two, please.")           # text: voiced audio plus a scripted transcript
        await caller.interrupts("Actually, for four.", after=0.8)   # 0.8 s into the reply
        await caller.hears("four")
    assert "four" in call_lab.call.outcome.turns[-1].heard
    call_lab.assert_nothing_left()
"""


def run_pytest(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Plain pytest in a folder of its own: no configuration, and nothing of this project's but what is installed."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")


# --- the plugin -----------------------------------------------------------------------------------------------------


def test_the_readmes_test_runs_under_plain_pytest(tmp_path):
    write(tmp_path, "test_my_agent.py", README_TEST)
    run = run_pytest(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout


def test_a_failing_lab_test_says_what_was_heard(tmp_path):
    write(tmp_path, "test_my_agent.py", README_TEST.replace('hears("four")', 'hears("five", timeout=5)'))
    run = run_pytest(tmp_path)
    assert run.returncode == 1
    assert "waited 5 s to hear 'five'; heard" in run.stdout
    assert "Of course, a table for four." in run.stdout


def test_tests_that_do_not_use_the_lab_are_left_alone(tmp_path):
    write(
        tmp_path, "test_mine.py", "def test_plain(): pass\n\nclass TestMine:\n    def test_too(self, tmp_path): pass\n"
    )
    run = run_pytest(tmp_path, "--strict-markers")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout


@pytest.fixture
def without_pytest_trio(tmp_path):
    """A folder in front of the path in which pytest-trio cannot be imported."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    write(
        folder,
        "sitecustomize.py",
        """
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "pytest_trio":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Hidden())
        sys.modules["pytest_trio"] = None
        """,
    )
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def test_without_pytest_trio_other_tests_run(tmp_path, without_pytest_trio):
    write(tmp_path, "test_mine.py", "def test_plain(): pass\n")
    run = run_pytest(tmp_path, "-p", "callengine.testing.plugin", **without_pytest_trio)
    assert run.returncode == 0, run.stdout + run.stderr


def test_without_pytest_trio_a_lab_test_says_what_to_install(tmp_path, without_pytest_trio):
    write(tmp_path, "test_mine.py", "async def test_call(call_lab): pass\n")
    run = run_pytest(tmp_path, "-p", "callengine.testing.plugin", **without_pytest_trio)
    assert run.returncode != 0
    assert "pip install 'callengine[testing]'" in run.stdout + run.stderr


def test_importing_the_lab_needs_no_pytest():
    code = "import sys; sys.modules['pytest'] = sys.modules['pytest_trio'] = None; import callengine.testing"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60)


# --- the same way every time ----------------------------------------------------------------------------------------


async def facts_of_a_call() -> list[tuple[float, str, dict]]:
    lab = CallLab()
    lab.llm.replies("We have a table for two at eight.", "Of course, a table for four.")
    settings = CarrierSettings(delay=0.03, jitter=0.02, marks="twice", seed=7)
    async with lab.dial(HELLO, carrier=settings) as caller:
        await caller.hears("Hello there.")
        await caller.says("A table for two, please.")
        await caller.interrupts("Actually, for four.", after=0.8)
        await caller.hears("four")
    started, *records = lab.call.journal
    assert started.kind == "call.started"
    return [(round(record.t, 9), record.kind, record.data) for record in records]


def facts_with_seed(seed: int) -> list[tuple[float, str, dict]]:
    seed_scheduler(seed)
    return trio.run(facts_of_a_call, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_same_seed_gives_the_same_facts(seed):
    first = facts_with_seed(seed)
    assert len(first) > 50
    assert facts_with_seed(seed) == first


def test_another_order_of_tasks_gives_the_same_facts():
    """Facts at the same moment may change places; what happens, and when, may not."""

    def sorted_facts(seed):
        return sorted(facts_with_seed(seed), key=repr)

    usual = sorted_facts(0)
    for seed in range(1, 6):
        assert sorted_facts(seed) == usual


def test_trios_switches_for_determinism_are_where_they_were():
    """Both are private: when Trio moves them, this fails rather than tests becoming flaky."""
    assert isinstance(trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING, bool)
    assert hasattr(trio._core._run._r, "random")
    assert SEED_VARIABLE == "CALLENGINE_TEST_SEED"


def test_the_seed_of_the_environment_counts(tmp_path):
    write(
        tmp_path,
        "test_order.py",
        """
        import trio

        async def test_order(call_lab):
            order = []

            async def note(number):
                order.append(number)

            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(note, number)
            print("ORDER", order)
        """,
    )
    orders = {}
    for seed in ("1", "1", "2"):
        run = run_pytest(tmp_path, "-s", **{SEED_VARIABLE: seed})
        assert run.returncode == 0, run.stdout + run.stderr
        line = next(line for line in run.stdout.splitlines() if "ORDER" in line)
        assert orders.setdefault(seed, line) == line
    assert orders["1"] != orders["2"]


# --- what is left behind --------------------------------------------------------------------------------------------


async def test_nothing_left_needs_a_call(call_lab):
    with pytest.raises(AssertionError, match="no call was placed yet"):
        call_lab.assert_nothing_left()


async def a_call(lab: CallLab) -> None:
    async with lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")


async def test_a_task_that_is_left_is_noticed(call_lab):
    async def lingering():
        await trio.sleep(60)

    async with trio.open_nursery() as nursery:

        async def story(call):
            nursery.start_soon(lingering)

        async with call_lab.dial(story) as caller:
            await caller.is_hung_up_on()
        with pytest.raises(AssertionError, match=r"left behind: task .*lingering"):
            call_lab.assert_nothing_left()
        nursery.cancel_scope.cancel()
    call_lab.assert_nothing_left()


async def test_a_session_that_is_left_open_is_noticed(call_lab):
    await a_call(call_lab)
    call_lab.assert_nothing_left()
    for script in (call_lab.stt, call_lab.llm, call_lab.tts):
        script.sessions += 1
        with pytest.raises(AssertionError, match=f"1 open sessions of {script.name}"):
            call_lab.assert_nothing_left()
        script.sessions -= 1


async def test_a_stream_that_is_left_open_is_noticed(call_lab):
    await a_call(call_lab)
    call_lab.llm.streams += 1
    with pytest.raises(AssertionError, match="1 streams of text, 0 of speech"):
        call_lab.assert_nothing_left()
    call_lab.llm.streams -= 1


def test_the_lab_looks_without_being_asked(tmp_path):
    """Given a test that leaves a stream open and does not look, when it runs, then it fails and says so."""
    (tmp_path / "test_leak.py").write_text(
        "from callengine import Agent\n"
        "async def test_leaks(call_lab):\n"
        "    async with call_lab.dial(Agent(greeting='Hello!')) as caller:\n"
        "        await caller.hears('Hello!')\n"
        "    call_lab.llm.streams += 1\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_leak.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert "left behind: 1 streams of text" in result.stdout


async def test_a_file_that_is_left_open_is_noticed(call_lab, tmp_path):
    await a_call(call_lab)
    with (tmp_path / "journal").open("w"):
        with pytest.raises(AssertionError, match="1 open files"):
            call_lab.assert_nothing_left()
    call_lab.assert_nothing_left()


async def test_a_busy_thread_that_is_left_is_noticed(call_lab):
    await a_call(call_lab)
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="story of old")
    thread.start()
    try:
        with pytest.raises(AssertionError, match="1 busy threads"):
            call_lab.assert_nothing_left()
    finally:
        done.set()
        thread.join()
    call_lab.assert_nothing_left()


async def test_a_mark_that_is_still_waited_for_is_noticed(call_lab):
    await a_call(call_lab)
    with call_lab.call._line.sender.mark("late"):
        with pytest.raises(AssertionError, match=f"call {call_lab.call.id}: mark waiter .*late"):
            call_lab.assert_nothing_left()
    call_lab.assert_nothing_left()


# --- the simulated caller -------------------------------------------------------------------------------------------


async def test_no_call_yet(call_lab):
    with pytest.raises(AssertionError, match="no call has started yet"):
        _ = call_lab.call


async def test_a_call_that_ends_at_once_is_known(call_lab):
    async def story(call):
        await call.hang_up("at once")

    async with call_lab.dial(story):
        pass
    assert call_lab.call.outcome.reason == "at once"
    call_lab.assert_nothing_left()


async def test_hears_gives_the_time_of_the_last_word(call_lab):
    async with call_lab.dial(HELLO) as caller:
        at = await caller.hears("hello THERE")
    spoken = sum(word.size for word in call_lab.vocabulary._words) / 8000
    assert at == pytest.approx(call_lab.call.started_at + call_lab.tts.first_audio + spoken, abs=1e-6)


async def test_waiting_for_words_after_the_call_is_an_assertion(call_lab):
    async def story(call):
        await call.say("Goodbye.")

    with pytest.raises(AssertionError, match=r"the call is over: waited to hear 'Hello'; heard 'Goodbye.'"):
        async with call_lab.dial(story) as caller:
            await caller.hears("Hello")


async def test_hears_nothing(call_lab):
    with pytest.raises(AssertionError, match=r"wanted 2 s of silence, heard 'Hello there\.'"):
        async with call_lab.dial(HELLO) as caller:
            await caller.hears_nothing(seconds=2)
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("there")
        await caller.hears_nothing(seconds=9)


async def test_an_unexpected_request_to_the_model_fails_the_call_and_says_what_to_add(call_lab, caplog):
    async with call_lab.dial(HELLO) as caller:
        await caller.hears("Hello there.")
        await caller.says("Anybody?")
        await caller.is_hung_up_on()
    assert "add one with call_lab.llm.replies" in call_lab.call.outcome.reason
    assert call_lab.call.outcome.reason.startswith("llm: ")
    call_lab.assert_nothing_left()


async def test_parameters_and_numbers_reach_the_program(call_lab):
    seen = {}

    async def story(call):
        seen.update(call.parameters, caller=call.caller, callee=call.callee, direction=call.direction)

    async with call_lab.dial(story, caller="+15550009", callee="+15550008", parameters={"table": "4"}) as caller:
        await caller.is_hung_up_on()
    assert seen == {"table": "4", "caller": "+15550009", "callee": "+15550008", "direction": "inbound"}
    call_lab.assert_nothing_left()


async def test_one_way_delay_and_jitter(call_lab):
    async with call_lab.dial(HELLO, carrier=CarrierSettings(delay=0.2, jitter=0.015)) as caller:
        await caller.hears("Hello there.")
        start = caller.leg.queue.played(trio.current_time())[0].start
    begun = call_lab.call.started_at
    assert start == pytest.approx(begun + call_lab.tts.first_audio + 0.2, abs=1e-6)
    echoed = next(r for r in call_lab.call.journal.of("mark.echoed") if r.data["mark"].startswith("u1:"))
    assert echoed.t == pytest.approx(0.1 + 0.2 + 0.04 + 0.2, abs=1e-6)
    call_lab.assert_nothing_left()


async def test_the_same_call_over_a_real_socket(live_call_lab):
    """One API, two depths: on the real clock, through the engine's own server."""
    live_call_lab.llm.replies("Yes.")
    async with live_call_lab.dial(Agent(prompt="x", greeting="Hi.")) as caller:
        await caller.hears("Hi.", timeout=5)
        await caller.says("Yes?")
        await caller.hears("Yes.", timeout=5)
        await caller.hangs_up()
    outcome = live_call_lab.outcomes[-1]
    assert (outcome.ended_by, outcome.reason) == ("caller", "the carrier stopped the stream")
    assert [turn.caller for turn in outcome.turns] == ["", "Yes?"]
    live_call_lab.assert_nothing_left()
