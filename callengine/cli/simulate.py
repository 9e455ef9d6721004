"""``callengine simulate``: a caller without a telephone, against anything that speaks a carrier's media streams."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callengine.errors import CallEngineError, ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from callengine.cli.simulation.report import Report
    from callengine.cli.simulation.run import Plan

CARRIERS = ("twilio", "signalwire", "telnyx", "plivo", "audiosocket")
TOKENS = {
    "twilio": "TWILIO_AUTH_TOKEN",
    "signalwire": "SIGNALWIRE_SIGNING_KEY",
    "plivo": "PLIVO_AUTH_TOKEN",
}
"""The environment variable that has what each carrier signs with."""
BURST = 1.0
"""Seconds that ``--burst`` holds the caller's messages back, unless it says."""

_EPILOG = """\
examples:
  callengine simulate twilio ws://127.0.0.1:8080/twilio/media --say "A table for two, please."
  callengine simulate twilio http://127.0.0.1:8080/twilio/voice --play question.wav --record call.wav
  callengine simulate plivo wss://example.com/media --script call.txt --json

a script has one action a line: say TEXT, play FILE, press KEYS, wait SECONDS, hears TEXT | TEXT,
interrupt after SECONDS, hang up. Without actions, lines are read from standard input and said;
/press 1, /play FILE, /wait 2, /hears TEXT and /hangup are the others.

status: 0 all went well, 1 the protocol was broken or what the script waited for did not come, 2 usage
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line's others."""
    parser = commands.add_parser(
        "simulate",
        help="be a caller, without a telephone",
        description="Call a server as a carrier would, with a caller who plays recordings or speaks typed text; print "
        "what was heard, with times, and everything that the carrier would have complained about.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("carrier", choices=CARRIERS, help="whose protocol is spoken")
    parser.add_argument(
        "target", metavar="URL", help="the media socket (ws://, wss://), the voice webhook (http(s)://), or host:port"
    )
    _add_actions(parser)
    _add_call(parser)
    _add_output(parser)
    _add_faults(parser)
    parser.set_defaults(run=_run, actions=[], parser=parser)


def _add_actions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the caller does, in this order; he waits for his turn to speak")
    group.add_argument("--say", **_action("say"), metavar="TEXT", help="speak this, with the embedded voice")
    group.add_argument("--play", **_action("play"), metavar="FILE", help="speak with a recorded voice: a WAV file")
    group.add_argument("--press", **_action("press"), metavar="KEYS", help="press keys: 0-9 * # A-D")
    group.add_argument("--wait", **_action("wait"), metavar="S", help="do nothing, then go on at once")
    group.add_argument("--hears", **_action("hears"), metavar="TEXT", help="wait until the agent has said this")
    group.add_argument(
        "--interrupt", **_action("interrupt after"), metavar="S", help="wait until the agent has spoken for S seconds"
    )
    group.add_argument("--script", action=_Script, type=Path, metavar="FILE", help="do what stands there")
    group.add_argument("--pause", type=_seconds, default=0.6, metavar="S", help="silence that makes it his turn (0.6)")
    group.add_argument("--patience", type=_seconds, default=15.0, metavar="S", help="how long he waits for it (15)")


def _add_call(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the call")
    group.add_argument("--duration", type=_seconds, metavar="S", help="hang up then (default: when all was answered)")
    group.add_argument("--auth-token", metavar="KEY", help=f"signs, as the carrier does ({', '.join(TOKENS.values())})")
    group.add_argument("--signing-seed", metavar="HEX", help="signs Telnyx's webhooks: 32 bytes of Ed25519 seed")
    group.add_argument("--api-port", type=int, default=8090, metavar="PORT", help="where Telnyx's API is (8090)")
    group.add_argument("--public-url", metavar="URL", help="what the server calls itself, where that is another name")
    group.add_argument("--from", dest="caller", default="+15550100001", metavar="NUMBER", help="who calls")
    group.add_argument("--to", dest="callee", default="+15550100000", metavar="NUMBER", help="who is called")
    group.add_argument(
        "--parameter", action="append", type=_pair, default=[], metavar="NAME=VALUE", help="comes with the start"
    )
    group.add_argument(
        "--option", action="append", type=_pair, default=[], metavar="NAME=VALUE", help="of this carrier's simulation"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is shown and kept")
    group.add_argument("--record", type=Path, metavar="FILE", help="write a WAV: left the caller, right the agent")
    group.add_argument("--json", action="store_true", help="one JSON object a line")
    group.add_argument("--detailed", action="store_true", help="show every mark, and when each voice begins and ends")
    group.add_argument("--no-words", action="store_true", help="do not recognise what the agent says")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the carrier and the network misbehave")
    group.add_argument("--marks", choices=("echo", "never", "late", "twice", "reversed", "foreign"), default="echo")
    group.add_argument("--mark-delay", type=_seconds, default=2.0, metavar="S", help="of late marks (2)")
    group.add_argument("--no-echo-on-clear", action="store_true", help="a clear forgets the marks that wait")
    group.add_argument("--no-stop", action="store_true", help="hang up without saying so")
    group.add_argument("--delay", type=_seconds, default=0.0, metavar="S", help="of the network, each way")
    group.add_argument(
        "--jitter", type=_seconds, default=0.0, metavar="S", help="the caller's audio is up to this late"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the jitter")
    group.add_argument(
        "--burst", type=_seconds, nargs="?", const=BURST, default=0.0, metavar="S", help="deliver audio so rarely (1)"
    )
    group.add_argument("--drop-after", type=_seconds, metavar="S", help="the connection breaks then")


def _run(options: argparse.Namespace) -> int:
    import trio

    from callengine.cleanup import single
    from callengine.cli.main import FAILED, OK
    from callengine.cli.simulation.run import simulate

    try:
        plan = plan_of(options)
        passed = trio.run(simulate, plan, _report(options))
    except BaseExceptionGroup as group:
        alone = single(group)
        if isinstance(alone, BrokenPipeError):  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        if isinstance(alone, CallEngineError):
            return _refuse(alone)
        raise alone from None
    except CallEngineError as error:
        return _refuse(error)
    return OK if passed else FAILED


def plan_of(options: argparse.Namespace) -> Plan:
    """What the command line asks for. Raises `ConfigurationError`."""
    from callengine.cli.simulation.call import Settings
    from callengine.cli.simulation.caller import Manners
    from callengine.cli.simulation.line import LineFaults
    from callengine.cli.simulation.run import Plan
    from callengine.cli.simulation.telnyx_desk import read_seed
    from callengine.testing.carrier import CarrierSettings

    token = options.auth_token or os.environ.get(TOKENS.get(options.carrier, ""))
    carrier = CarrierSettings(
        kind=options.carrier,
        options={name: int(value) if value.isdecimal() else value for name, value in options.option},
        jitter=options.jitter,
        marks=options.marks,
        mark_delay=options.mark_delay,
        echo_on_clear=not options.no_echo_on_clear,
        stop_frame=not options.no_stop,
        seed=options.seed,
    )
    return Plan(
        kind=options.carrier,
        target=options.target,
        settings=Settings(
            carrier=carrier,
            manners=Manners(pause=options.pause, patience=options.patience),
            duration=options.duration,
            drop_after=options.drop_after,
            record=options.record,
        ),
        line=LineFaults(delay=options.delay, burst=options.burst),
        actions=tuple(options.actions),
        stdin=None if options.actions else sys.stdin.fileno(),
        words=not options.no_words,
        token=token or None,
        public_url=options.public_url,
        caller=options.caller,
        callee=options.callee,
        parameters=dict(options.parameter),
        seed=None if options.signing_seed is None else read_seed(options.signing_seed),
        api_port=options.api_port,
        number=secrets.randbits(48),
    )


def _report(options: argparse.Namespace) -> Report:
    from callengine.cli.simulation.report import JsonReport, TextReport

    def write(line: str) -> None:
        print(line, flush=True)

    return JsonReport(write) if options.json else TextReport(write, detailed=options.detailed)


def _refuse(error: CallEngineError) -> int:
    from callengine.cli.main import FAILED, USAGE

    print(f"callengine: {error}", file=sys.stderr)
    return USAGE if isinstance(error, ConfigurationError) and not isinstance(error, MissingExtra) else FAILED


def _action(word: str) -> dict[str, Any]:
    """Options whose order counts: each adds its action to those before."""

    def parse(text: str) -> Sequence[object]:
        from callengine.cli.simulation.script import parse_action

        return [_understood(lambda: parse_action(f"{word} {text}"))]

    return {"dest": "actions", "action": "extend", "type": parse}


class _Script(argparse.Action):
    """A file of actions."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002 - argparse passes it
    ) -> None:
        from callengine.cli.simulation.script import read_script

        try:
            namespace.actions = [*namespace.actions, *read_script(values)]
        except ConfigurationError as error:
            parser.error(str(error))


def _understood(read: Callable[[], object]) -> object:
    try:
        return read()
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> Any:
    from callengine.cli.simulation.script import seconds

    return _understood(lambda: seconds(text))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value
