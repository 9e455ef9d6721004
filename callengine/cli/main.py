"""The command line: which command, and what its end means to whoever started it.

Exit statuses: 0 all went well; 1 it could not be done (the message says why and what to do); 2 it was asked for in a
way that makes no sense; 130 interrupted from the keyboard.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""Read by OpenBLAS when NumPy is loaded. An engine multiplies small matrices in one thread; others would only spin."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command is None:
        _parser().print_help()
        return USAGE
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    from callengine.cli import campaign, numbers, simulate

    parser = argparse.ArgumentParser(
        prog="callengine",
        description="The engine under an AI phone agent.",
        epilog="'callengine COMMAND --help' explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"callengine {version('callengine')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_serve(commands)
    _add_demo(commands)
    _add_doctor(commands)
    campaign.add_parser(commands)
    numbers.add_parser(commands)
    simulate.add_parser(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="take calls",
        description="Load an engine and take calls until told to stop. SIGTERM or Ctrl-C drains: no new calls, live "
        "ones may finish; a second one ends at once. Options go before the engine's own settings.",
        epilog="example: callengine serve app:engine, where app.py has engine = Engine(Agent(...))",
    )
    serve.add_argument("engine", metavar="module:engine", help="the module, and the name of the Engine in it")
    serve.add_argument("--host", help="address to listen on (the engine's own default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on; 0 picks a free one (default: 8080)")
    serve.add_argument("--public-url", metavar="URL", help="how carriers reach this server: https://...")
    serve.add_argument(
        "--insecure", action="store_true", default=None, help="development: take unsigned calls, on loopback only"
    )
    serve.add_argument("--journal", type=Path, metavar="DIR", help="write every call's journal into this directory")
    serve.add_argument(
        "--drain-timeout", type=_seconds, metavar="S", help="how long live calls may go on when draining (default: 60)"
    )
    serve.add_argument(
        "--tunnel",
        choices=("cloudflared", "ngrok"),
        help="open a tunnel with this program, which must be installed, and have carriers reach the engine through it",
    )
    serve.add_argument("--verbose", action="store_true", help="log details")
    serve.set_defaults(run=_serve)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="play one whole phone call, and check it",
        description="Play one whole phone call with a caller's recorded voice against a real engine in a process of "
        "its own, over a telephone line, without network or keys; check what was said; write what is left of it.",
    )
    demo.add_argument(
        "--output", type=Path, default=Path("demo-call"), metavar="DIR", help="where to write (default: ./demo-call)"
    )
    demo.add_argument("--plain", action="store_true", help="plain lines instead of the live view")
    demo.add_argument("--quiet", action="store_true", help="only the verdict")
    demo.set_defaults(run=_demo)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check the environment, and say what to do",
        description="Check what an engine needs on this machine, and say what to do about what is missing. "
        "The status is 1 only where something does not work.",
    )
    doctor.add_argument("--port", type=_port, default=8080, help="the port that shall be free (default: 8080)")
    doctor.add_argument(
        "--providers",
        action="store_true",
        help="check the vendors whose keys are set, and nothing else: each is asked at no cost, and timed",
    )
    doctor.add_argument(
        "--provider", action="append", default=[], metavar="NAME", help="check this vendor; may be repeated"
    )
    doctor.set_defaults(run=_doctor)


def _serve(options: argparse.Namespace) -> int:
    one_blas_thread()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for chatty in ("httpx", "httpcore", "hypercorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    from callengine.cli.serve import serve

    return serve(
        options.engine,
        host=options.host,
        port=options.port,
        public_url=options.public_url,
        insecure=options.insecure,
        journal=options.journal,
        drain_timeout=options.drain_timeout,
        tunnel=options.tunnel,
    )


def _demo(options: argparse.Namespace) -> int:
    from callengine.cli.demo import demo

    return demo(options.output, plain=options.plain, quiet=options.quiet)


def _doctor(options: argparse.Namespace) -> int:
    one_blas_thread()
    if options.providers or options.provider:
        from callengine.cli.doctor_providers import doctor_providers

        return doctor_providers(options.provider)
    from callengine.cli.doctor import doctor

    return doctor(port=options.port)


def one_blas_thread() -> None:
    """Importing this package has loaded NumPy already: where the variable is not set, start over, as the same process
    with the same command line."""
    if BLAS_THREADS not in os.environ:
        os.environ[BLAS_THREADS] = "1"
        os.execv(sys.executable, sys.orig_argv)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: give 0 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time: give seconds, 0 or more")
    return seconds
