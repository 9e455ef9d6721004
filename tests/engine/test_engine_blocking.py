"""`running`: an engine in a thread of its own, for programs without an event loop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import attrs
import httpx
import pytest
import trio

from callengine import Agent, Engine
from callengine.blocking import Phone, running
from callengine.carriers.twilio import Twilio
from callengine.errors import CallEngineError, CarrierError, ConfigurationError, EngineStopped
from callengine.outbound.errors import NotAnswered
from callengine.outbound.outcomes import DialOutcome
from callengine.testing import ScriptedStt, ScriptedTts
from callengine.testing.scripted import EnergyVad
from callengine.testing.words import Vocabulary

ANNA, BERT = "+15005550001", "+15005550002"


def outcome(result: Any) -> DialOutcome:
    return DialOutcome(
        result=result,
        reason="line 1",
        number=ANNA,
        call_id="CA1",
        answered_by=None,
        message_left=False,
        started_at=0.0,
        ended_at=0.0,
        call=None,
    )


@attrs.define(eq=False)
class FakeCall:
    """A call that ends when it is told to, or hung up."""

    result: str
    over: trio.Event = attrs.field(factory=trio.Event)

    async def wait(self) -> DialOutcome:
        await self.over.wait()
        return outcome(self.result)

    def hang_up(self) -> None:
        self.result = "canceled"
        self.over.set()


@attrs.define(eq=False)
class FakeEngine:
    """Dials as scripted: a result, an error, or ``...`` for a call that goes on."""

    script: dict[str, Any] = attrs.field(factory=dict)
    broken: BaseException | None = None
    """Why it cannot serve."""
    log: list[Any] = attrs.field(factory=list)
    calls: list[FakeCall] = attrs.field(factory=list)
    in_dial: Callable[[], None] = lambda: None
    in_drain: Callable[[], None] = lambda: None
    fails: trio.Event = attrs.field(factory=trio.Event)
    stop: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, *, signals: bool, progress: Any, task_status: trio.TaskStatus[Any]) -> None:
        self.log.append(("serve", signals, progress))
        if self.broken is not None:
            raise self.broken
        task_status.started([("127.0.0.1", 8080)])
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._fail)
                await self.stop.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.log.append("served" if self.stop.is_set() else "cut off")

    async def _fail(self) -> None:
        await self.fails.wait()
        raise OSError("the listener is gone")

    async def drain(self) -> None:
        self.log.append("drain")
        self.in_drain()
        for call in self.calls:
            await call.over.wait()
        self.stop.set()

    async def dial(self, to: str, program: Any = None, **options: Any) -> FakeCall:
        self.log.append(("dial", to, program, options))
        self.in_dial()
        step = self.script.get(to, "answered")
        if isinstance(step, BaseException):
            raise step
        call = FakeCall("answered" if step is ... else step)
        if step is not ...:
            call.over.set()
        self.calls.append(call)
        return call

    async def send_message(self, to: str, text: str, **options: Any) -> str:
        self.log.append((to, text, options))
        return "SM1"


def run_in(phone: Phone, work: Callable[[], object]) -> None:
    """Do this in the engine's thread, and wait for it."""

    async def visit() -> None:
        work()

    phone._loop.result(phone._loop.submit(visit))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "callengine"] == []


def start(engine: Any, **options: Any) -> Any:
    return running(engine, **options)


# --- dialling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["answered", "voicemail"])
def test_dial_returns_when_the_call_is_over(result: str) -> None:
    engine = FakeEngine({ANNA: result})

    def story(call: Any) -> None: ...

    with start(engine, progress=print) as phone:
        assert phone.dial(ANNA, story, amd=True).result == result
        assert phone.addresses == [("127.0.0.1", 8080)]
        assert phone.engine is engine

    # and the process's signals were left to the program
    assert engine.log == [("serve", False, print), ("dial", ANNA, story, {"amd": True}), "drain", "served"]


@pytest.mark.parametrize("result", ["busy", "no answer", "failed", "refused", "canceled"])
def test_a_call_that_nobody_takes_raises_not_answered_with_its_outcome(result: str) -> None:
    with start(FakeEngine({ANNA: result})) as phone:
        with pytest.raises(NotAnswered, match=rf"not answered: {result} \(line 1\)") as caught:
            phone.dial(ANNA)
        assert caught.value.outcome == outcome(result)
        assert phone.dial(BERT).result == "answered"


@pytest.mark.parametrize(
    "error", [ConfigurationError("give it a sender"), CarrierError("twilio", "no", fault="rejected")]
)
def test_what_the_engine_raises_is_raised_and_it_serves_on(error: CallEngineError) -> None:
    with start(FakeEngine({ANNA: error})) as phone:
        with pytest.raises(type(error)) as caught:
            phone.dial(ANNA)
        assert caught.value is error
        assert phone.dial(BERT).result == "answered"


def test_a_started_call_can_be_waited_for_with_a_timeout_and_hung_up() -> None:
    with start(FakeEngine({ANNA: ...})) as phone:
        call = phone.start(ANNA)
        with pytest.raises(TimeoutError):
            call.wait(timeout=0.01)
        with pytest.raises(TimeoutError):  # which has not ended it
            call.wait(timeout=0.01)
        call.hang_up()
        with pytest.raises(NotAnswered, match="canceled"):
            call.wait()
        call.hang_up()  # once more is no error


def test_several_threads_may_dial_at_once() -> None:
    # given calls that all end only when every one of them has been begun
    engine = FakeEngine({f"+1500555{n:04}": ... for n in range(8)})

    def all_begun() -> None:
        if len(engine.calls) == 7:
            trio.lowlevel.spawn_system_task(let_them_go)

    async def let_them_go() -> None:
        while len(engine.calls) < 8:
            await trio.lowlevel.checkpoint()
        for call in engine.calls:
            call.over.set()

    engine.in_dial = all_begun
    results: list[str] = []
    with start(engine) as phone:
        threads = [
            threading.Thread(target=lambda number=number: results.append(phone.dial(number).result))
            for number in engine.script
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == ["answered"] * 8


def test_messages_are_sent() -> None:
    engine = FakeEngine()
    with start(engine) as phone:
        assert phone.send_message(ANNA, "See you at nine.", carrier="telnyx") == "SM1"
    assert (ANNA, "See you at nine.", {"sender": None, "carrier": "telnyx"}) in engine.log


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_leaving_lets_live_calls_end() -> None:
    engine = FakeEngine({ANNA: ...})
    with start(engine) as phone:
        call = phone.start(ANNA)
        run_in(phone, lambda: trio.lowlevel.spawn_system_task(end_after_a_moment, engine.calls[0]))
    assert engine.log[-2:] == ["drain", "served"]
    assert call.wait().result == "answered"  # how it ended is still known


async def end_after_a_moment(call: FakeCall) -> None:
    await trio.sleep(0.01)
    call.over.set()


def test_leaving_with_an_exception_ends_at_once() -> None:
    engine = FakeEngine({ANNA: ...})

    def program() -> None:
        with start(engine) as phone:
            phone.start(ANNA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program()
    assert engine.log[-1] == "cut off"
    assert "drain" not in engine.log


def test_once_it_has_stopped_the_phone_says_so() -> None:
    with start(FakeEngine({ANNA: ...})) as phone:
        call = phone.start(ANNA)
        call.hang_up()
    with pytest.raises(EngineStopped):
        phone.dial(BERT)


def interrupt() -> None:
    """Ctrl-C."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_ctrl_c_while_dialling_ends_everything() -> None:
    engine = FakeEngine({ANNA: ...}, in_dial=interrupt)
    with pytest.raises(KeyboardInterrupt), start(engine) as phone:
        phone.dial(ANNA)
    assert engine.log[-1] == "cut off"


def test_ctrl_c_that_is_caught_has_hung_up() -> None:
    engine = FakeEngine({ANNA: ...})
    with start(engine) as phone:
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            phone.dial(ANNA)
    assert [call.result for call in engine.calls] == ["canceled"]
    assert engine.log[-2:] == ["drain", "served"]


def test_ctrl_c_while_it_drains_ends_it_at_once() -> None:
    engine = FakeEngine({ANNA: ...}, in_drain=interrupt)
    with pytest.raises(KeyboardInterrupt), start(engine) as phone:
        phone.start(ANNA)
    assert engine.log[-2:] == ["drain", "cut off"]


# --- with an engine ---------------------------------------------------------------------------------------------------


def an_engine(port: int = 0) -> Engine:
    words = Vocabulary()
    agent = Agent(greeting="-", stt=ScriptedStt(words), tts=ScriptedTts(words), aec="off")

    async def story(call: Any) -> None:
        await call.say("Hello there.")

    carrier = Twilio(auth_token="token-of-a-test", account_sid=None)
    return Engine(story, agent=agent, carriers=[carrier], vad=EnergyVad(), port=port, insecure=True)


def test_an_engine_serves_and_serves_again() -> None:
    engine = an_engine()
    for _ in range(2):
        with running(engine) as phone:
            ((host, port),) = phone.addresses
            assert httpx.get(f"http://{host}:{port}/healthz").status_code == 200
            with pytest.raises(ConfigurationError, match="TWILIO_ACCOUNT_SID"):
                phone.dial(ANNA)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{host}:{port}/healthz")


def test_a_port_that_is_taken_is_an_error_on_entry() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="port"), running(an_engine(taken.getsockname()[1])):
            pytest.fail("it does not serve")


# --- failing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConfigurationError("port 8080 is in use"), OSError("no such device")])
def test_what_keeps_it_from_serving_is_raised_on_entry(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, start(FakeEngine(broken=error)):
        pytest.fail("it does not serve")
    assert caught.value is error


def test_whoever_waits_when_the_engine_fails_gets_its_error() -> None:
    engine = FakeEngine({ANNA: ...})

    def program() -> None:
        with start(engine) as phone:
            call = phone.start(ANNA)
            run_in(phone, engine.fails.set)
            call.wait()

    with pytest.raises(OSError, match="listener"):
        program()


def test_a_failure_that_nobody_waited_for_is_raised_on_leaving() -> None:
    engine = FakeEngine()

    def program() -> None:
        with start(engine) as phone:
            run_in(phone, engine.fails.set)
            phone._loop.wait_for_the_end()

    with pytest.raises(OSError, match="listener"):
        program()


def test_a_failure_behind_the_programs_own_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()

    def program() -> None:
        with start(engine) as phone:
            run_in(phone, engine.fails.set)
            phone._loop.wait_for_the_end()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), caplog.at_level(logging.ERROR):
        program()
    assert "the listener is gone" in caplog.text


async def test_it_is_refused_where_it_would_block_an_event_loop() -> None:
    with pytest.raises(CallEngineError, match=r"nursery\.start"), start(FakeEngine()):
        pytest.fail("it must not begin")


def test_its_methods_are_refused_in_the_engines_own_thread() -> None:
    with start(FakeEngine()) as phone:
        with pytest.raises(CallEngineError, match="await"):
            run_in(phone, lambda: phone.dial(ANNA))
