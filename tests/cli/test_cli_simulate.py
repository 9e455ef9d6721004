"""``callengine simulate`` as a process, against an engine in another one, and against servers that are wrong."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from served import Ran, environment, serving
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from callengine.audio import Resampler, from_pcm, read_wav
from callengine.cli.simulate import add_parser, plan_of
from callengine.cli.simulation.caller import Manners
from callengine.cli.simulation.line import LineFaults
from callengine.cli.simulation.script import Hears, Interrupt, Play, Press, Say, Wait
from callengine.testing.carrier import CarrierSettings

CALLERS = Path(__file__).parents[1] / "data" / "callers"
TOKEN = "0123456789abcdef0123456789abcdef"
SEED = bytes(range(32)).hex()
AGENTS = '''
"""The story's engine, on every carrier that has webhooks."""
from callengine import Engine
from callengine.carriers.plivo import Plivo
from callengine.carriers.telnyx import Telnyx
from callengine.carriers.twilio import Twilio
from callengine.testing.scripted import EnergyVad
from story import agent, story

carriers = [
    Twilio("{token}"),
    Plivo("MA0123456789ABCDEF01", "{token}", api_url="http://127.0.0.1:9"),
    Telnyx("KEY", "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", api_url="http://127.0.0.1:{api_port}/v2"),
]
engine = Engine(story, agent=agent, vad=EnergyVad(), port=0, carriers=carriers)
'''


async def simulate(*arguments: str, cwd: Path, stdin: str = "") -> Ran:
    """Run the command to its end."""
    done = await trio.run_process(
        [sys.executable, "-m", "callengine", "simulate", *arguments],
        cwd=cwd,
        env=environment(),
        stdin=stdin.encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


Behaviour = Callable[[WebSocketConnection, str], Awaitable[None]]


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that behaves so once a stream has started; gives the URL of its media socket."""

    async def take(request: WebSocketRequest) -> None:
        connection = await request.accept()
        try:
            stream = ""
            while not stream:
                stream = json.loads(await connection.get_message()).get("streamSid", "")
            await behaviour(connection, stream)
            while True:
                await connection.get_message()
        except ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        listener = await nursery.start(partial(serve_websocket, take, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{listener.port}/twilio/media"
        nursery.cancel_scope.cancel()


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


# --- against an engine ------------------------------------------------------------------------------------------------


async def test_a_call_straight_to_the_media_socket(tmp_path: Path) -> None:
    # given an engine whose story says hello and listens
    async with serving(tmp_path, "--insecure") as served:
        url = f"ws://127.0.0.1:{served.port}/twilio/media"

        # when it is called, and spoken to
        voice = str(CALLERS / "bf_emma_16_yes.wav")
        ran = await simulate(
            "twilio", url, "--play", voice, "--no-words", "--patience", "1", "--record", "call.wav", cwd=tmp_path
        )

    # then what was heard is told with its time, and what it came to
    assert ran.status == 0, ran.errors
    lines = ran.output.splitlines()
    assert lines[0].startswith("   0.00  stream MZ")
    assert any("agent: audio  (" in line for line in lines)
    assert any(line.endswith("caller: bf_emma_16_yes.wav") for line in lines)
    assert any(line.startswith("turns:       caller 1, agent ") for line in lines)
    assert "protocol:    nothing to complain about" in lines
    assert len(read_wav(tmp_path / "call.wav")[0]) > 8000


async def test_json_has_everything_and_ends_with_the_summary(tmp_path: Path) -> None:
    async with serving(tmp_path, "--insecure") as served:
        url = f"ws://127.0.0.1:{served.port}/twilio/media"
        ran = await simulate("twilio", url, "--no-words", "--json", cwd=tmp_path)
    told = events(ran.output)
    assert {"stream", "mark", "agent speaks", "agent says", "summary"} <= {event["event"] for event in told}
    assert told[-1]["event"] == "summary"
    assert told[-1]["passed"] is True
    assert told[-1]["marks"] == sum(event["event"] == "mark" for event in told)


async def test_the_webhook_and_the_media_socket_are_signed_for_the_servers_public_name(tmp_path: Path) -> None:
    # given an engine that takes nothing unsigned, behind a public name
    (tmp_path / "agents.py").write_text(AGENTS.format(token=TOKEN, api_port=9))
    options = ("--public-url", "https://voice.example.com")
    async with serving(tmp_path, *options, target="agents:engine") as served:
        call = ("twilio", f"{served.url}/twilio/voice", "--no-words", *options)

        # when it is called with its key, and with another
        good = await simulate(*call, "--auth-token", TOKEN, cwd=tmp_path)
        bad = await simulate(*call, "--auth-token", TOKEN[::-1], cwd=tmp_path)

    assert good.status == 0, good.output + good.errors
    assert "agent: audio" in good.output
    assert bad.status == 1
    assert "PROTOCOL: 11200: the webhook was answered 403" in bad.output


async def test_plivo_and_telnyx_by_their_webhooks(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "agents.py").write_text(AGENTS.format(token=TOKEN, api_port=free_port))
    async with serving(tmp_path, "--insecure", target="agents:engine") as served:
        plivo = ("plivo", f"{served.url}/plivo/voice", "--auth-token", TOKEN)
        telnyx = ("telnyx", f"{served.url}/telnyx/events", "--signing-seed", SEED, "--api-port", str(free_port))
        for call in (plivo, telnyx):
            ran = await simulate(*call, "--no-words", cwd=tmp_path)
            assert ran.status == 0, ran.output + ran.errors
            assert "agent: audio" in ran.output


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- against servers that are wrong -----------------------------------------------------------------------------------


async def test_a_server_that_breaks_the_protocol_is_told_what_the_carrier_would_log(tmp_path: Path) -> None:
    # given a server that sends what is no JSON, what is for another stream, and what is binary
    async def wrong(connection: WebSocketConnection, stream: str) -> None:
        await connection.send_message("{not JSON")
        await connection.send_message(json.dumps({"event": "clear", "streamSid": "MZ" + "f" * 32}))
        await connection.send_message(bytes(160))

    async with server(wrong) as url:
        ran = await simulate("twilio", url, "--wait", "0.3", "--patience", "0.1", "--no-words", cwd=tmp_path)

    assert ran.status == 1
    for complaint in ("31951: b'{not JSON'", "31951: wrong streamSid", "31950: a binary message"):
        assert f"PROTOCOL: {complaint}" in ran.output
        assert f"protocol:    {complaint}" in ran.output


async def test_a_server_that_vanishes_is_a_complaint_and_one_that_closes_is_not(tmp_path: Path) -> None:
    async def vanishes(connection: WebSocketConnection, stream: str) -> None:
        connection._stream.socket.close()

    async def closes(connection: WebSocketConnection, stream: str) -> None:
        await connection.aclose(1000, "done")

    async with server(vanishes) as url:
        broken = await simulate("twilio", url, "--wait", "5", "--no-words", cwd=tmp_path)
    async with server(closes) as url:
        closed = await simulate("twilio", url, "--wait", "5", "--no-words", cwd=tmp_path)

    assert broken.status == 1
    assert "31903: the server vanished without closing" in broken.output
    assert closed.status == 0
    assert "the server closed the stream with 1000 done (Twilio logs 31921 for that)" in closed.output


async def test_who_does_not_take_the_connection_is_a_complaint(tmp_path: Path, free_port: int) -> None:
    async with serving(tmp_path, "--insecure") as served:
        elsewhere = await simulate("twilio", f"ws://127.0.0.1:{served.port}/nowhere", cwd=tmp_path)
    nobody = await simulate("twilio", f"ws://127.0.0.1:{free_port}/twilio/media", cwd=tmp_path)
    assert (elsewhere.status, nobody.status) == (1, 1)
    assert "PROTOCOL: 31920: the WebSocket was not accepted (the server answered 4" in elsewhere.output
    assert "PROTOCOL: 31902: the connection was refused" in nobody.output


async def test_what_a_script_waits_for_in_vain_is_status_1(tmp_path: Path) -> None:
    async def silent(connection: WebSocketConnection, stream: str) -> None:
        """Says nothing."""

    (tmp_path / "call.txt").write_text("hears  # anything at all\n")
    async with server(silent) as url:
        ran = await simulate("twilio", url, "--script", "call.txt", "--patience", "0.3", "--no-words", cwd=tmp_path)
    assert ran.status == 1
    assert "script:      waited to hear something; heard ''" in ran.output


# --- a person at the keyboard -----------------------------------------------------------------------------------------


async def test_lines_from_standard_input_are_what_the_caller_does(tmp_path: Path) -> None:
    keys: list[str] = []

    async def listens(connection: WebSocketConnection, stream: str) -> None:
        while True:
            message = json.loads(await connection.get_message())
            if message["event"] == "dtmf":
                keys.append(message["dtmf"]["digit"])

    async with server(listens) as url:
        typed = "/press 1#\n/waltz\n/hangup\n/press 9\n"
        ran = await simulate("twilio", url, "--patience", "0.1", "--no-words", cwd=tmp_path, stdin=typed)

    assert keys == ["1", "#"]
    assert "SCRIPT: 'waltz' is no action" in ran.output
    assert ran.status == 1


async def test_ctrl_c_hangs_up_and_the_summary_comes_all_the_same(tmp_path: Path) -> None:
    stopped = trio.Event()

    async def listens(connection: WebSocketConnection, stream: str) -> None:
        while json.loads(await connection.get_message())["event"] != "stop":
            pass
        stopped.set()

    async with server(listens) as url, trio.open_nursery() as nursery:
        command = [sys.executable, "-m", "callengine", "simulate", "twilio", url, "--wait", "60", "--no-words"]
        start = partial(trio.run_process, command, env=environment(), stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        output = b""
        with trio.fail_after(20):
            while b"stream MZ" not in output:
                output += await process.stdout.receive_some()
            process.send_signal(signal.SIGINT)
            await stopped.wait()
            async for more in process.stdout:
                output += more
            status = await process.wait()
    assert status == 0
    assert b"the caller hung up" in output


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["ftp://h", "--wait", "1"], "give the media socket"),
        (["ws://h", "--press", "x"], "press wants keys"),
        (["ws://h", "--wait", "long"], "'long' is no time"),
        (["ws://h", "--script", "none.txt"], "none.txt cannot be read"),
        (["ws://h", "--play", "none.wav"], "none.wav cannot be played"),
        (["ws://h", "--parameter", "name"], "write NAME=VALUE"),
        (["ws://h", "--wait", "1", "--option", "colour=red"], "has no such option"),
        (["ws://h", "--wait", "1", "--signing-seed", "12"], "64 hexadecimal digits"),
    ],
)
def test_what_makes_no_sense_is_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    assert run_here("twilio", *arguments) == 2
    assert why in capsys.readouterr().err


def test_telnyx_wants_a_seed_and_audiosocket_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("telnyx", "http://h/telnyx/events", "--wait", "1") == 2
    assert "--signing-seed" in capsys.readouterr().err
    assert run_here("audiosocket", "localhost", "--wait", "1") == 2
    assert "give host:port" in capsys.readouterr().err


def test_every_option_is_part_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    actions = "--say Hello. --play a.wav --press 1# --wait 2 --hears a|b --interrupt 0.8"
    faults = (
        "--marks late --mark-delay 3 --no-echo-on-clear --no-stop --delay 0.1 --jitter 0.2 --seed 7 --burst "
        "--drop-after 9 --option rate=16000"
    )
    call = "--duration 30 --pause 0.7 --patience 8 --record out.wav --no-words --public-url https://h --parameter a=b"
    who = f"--from +15550100008 --to +15550100009 --signing-seed {SEED} --api-port 9090"

    plan = plan_of(_parsed(f"twilio ws://h/p {actions} {faults} {call} {who}"))

    assert plan.actions == (
        Say("Hello."),
        Play(Path("a.wav")),
        Press("1#"),
        Wait(2.0),
        Hears(("a", "b")),
        Interrupt(0.8),
    )
    assert plan.settings.carrier == CarrierSettings(
        kind="twilio",
        options={"rate": 16000},
        jitter=0.2,
        marks="late",
        mark_delay=3.0,
        echo_on_clear=False,
        stop_frame=False,
        seed=7,
    )
    assert plan.line == LineFaults(delay=0.1, burst=1.0)
    assert plan.settings.manners == Manners(pause=0.7, patience=8.0)
    assert (plan.settings.duration, plan.settings.drop_after, plan.settings.record) == (30.0, 9.0, Path("out.wav"))
    assert (plan.words, plan.token, plan.public_url, plan.parameters) == (False, TOKEN, "https://h", {"a": "b"})
    assert (plan.caller, plan.callee, plan.seed, plan.api_port) == (
        "+15550100008",
        "+15550100009",
        bytes(range(32)),
        9090,
    )
    assert plan.stdin is None
    assert plan_of(_parsed("twilio ws://h/p --auth-token other --wait 1 --burst 2")).token == "other"


def _parsed(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["simulate", *line.split()])


def run_here(*arguments: str) -> int:
    """Run the command in this process, to where it is refused."""
    try:
        options = _parsed(" ".join(arguments))
        return int(options.run(options))
    except SystemExit as refused:
        return int(refused.code or 0)


# --- with models ------------------------------------------------------------------------------------------------------


@pytest.mark.models
async def test_words_are_spoken_and_recognised(tmp_path: Path) -> None:
    # given a server that plays a recording, and listens
    samples, rate = read_wav(CALLERS / "bm_george_11_price.wav")
    resampler = Resampler(rate, 8000)
    audio = from_pcm(resampler.push(samples), "mulaw")
    loud = 0

    async def talks(connection: WebSocketConnection, stream: str) -> None:
        nonlocal loud
        media = {"payload": b64encode(audio).decode()}
        await connection.send_message(json.dumps({"event": "media", "streamSid": stream, "media": media}))
        while True:
            message = json.loads(await connection.get_message())
            loud += message["event"] == "media" and len(set(message["media"]["payload"])) > 20

    async with server(talks) as url:
        # when a caller waits for its words, and says some himself
        ran = await simulate(
            "twilio", url, "--hears", "how much", "--say", "Twenty-five euros, please.", "--patience", "3", cwd=tmp_path
        )

    # then both were there
    assert ran.status == 0, ran.output
    assert 'caller: "Twenty-five euros, please."' in ran.output
    assert loud > 50
