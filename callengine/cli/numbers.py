"""``callengine numbers``: the phone numbers of the carriers' accounts, and where their calls go."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module

import httpx
import trio

from callengine.errors import CallEngineError, ConfigurationError
from callengine.masking import masked
from callengine.outbound.contacts import normalised
from callengine.server.trust import PUBLIC_URL_VARIABLE, check_public_url
from callengine.telephony import Carrier, PhoneNumber

SHOWN = 10
"""Numbers that an error message names."""


def _recipe(module: str, name: str) -> Callable[[], Carrier]:
    def make() -> Carrier:
        carrier: Carrier = getattr(import_module(f"callengine.carriers.{module}"), name)()
        return carrier

    return make


RECIPES: Mapping[str, Callable[[], Carrier]] = {
    "twilio": _recipe("twilio", "Twilio"),
    "telnyx": _recipe("telnyx", "Telnyx"),
    "plivo": _recipe("plivo", "Plivo"),
    "signalwire": _recipe("signalwire", "SignalWire"),
}
"""The carriers whose numbers can be listed and pointed; each recipe takes its credentials from the environment."""


class _Nonsense(CallEngineError):
    """It was asked for in a way that makes no sense."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``numbers`` to the command line."""
    numbers = commands.add_parser(
        "numbers",
        help="list your phone numbers, or point one at an engine",
        description="List the phone numbers of your carriers' accounts and where their calls go. The credentials are "
        "those of the environment (TWILIO_ACCOUNT_SID, TELNYX_API_KEY, PLIVO_AUTH_ID ...).",
        epilog="example: callengine numbers point +15005550001 --to https://voice.example.com",
    )
    numbers.add_argument("--carrier", choices=RECIPES, help="only this carrier's (default: all with credentials)")
    numbers.set_defaults(run=_list)
    point = numbers.add_subparsers(metavar="[point]").add_parser(
        "point",
        help="have a number's calls and messages announced to an engine",
        description="Have a number's calls and text messages announced to the engine at a public URL.",
    )
    point.add_argument("number", help="one of the account's, as in +15005550001")
    point.add_argument(
        "--to", metavar="URL", help=f"the engine's public URL, https://... (default: what {PUBLIC_URL_VARIABLE} says)"
    )
    point.add_argument("--carrier", choices=RECIPES, default=argparse.SUPPRESS, help="whose number it is")
    point.set_defaults(run=_point)


def _list(options: argparse.Namespace) -> int:
    return list_numbers(options.carrier)


def _point(options: argparse.Namespace) -> int:
    return point_number(options.number, options.to or os.environ.get(PUBLIC_URL_VARIABLE, ""), options.carrier)


def list_numbers(carrier: str | None, recipes: Mapping[str, Callable[[], Carrier]] = RECIPES) -> int:
    """Print the numbers of this carrier, or of all that have credentials; returns the exit status."""

    async def work(http: httpx.AsyncClient) -> bool:
        found, problems = await _numbers(_usable(carrier, recipes), http)
        rows = [
            (number.number, one.name, number.label, number.voice_url or "nowhere")
            for one, numbers in found
            for number in numbers
        ]
        if rows:
            _print_table([("NUMBER", "CARRIER", "LABEL", "CALLS GO TO"), *rows])
        elif not problems:
            print(f"no numbers: the {_accounts(found)} none; rent one from the carrier first")
        for problem in problems:
            _complain(problem)
        return not problems

    return _run(work)


def point_number(
    number: str, url: str, carrier: str | None, recipes: Mapping[str, Callable[[], Carrier]] = RECIPES
) -> int:
    """Have this number's calls and messages announced at the engine's public URL; returns the exit status."""

    async def work(http: httpx.AsyncClient) -> bool:
        wanted = normalised(number)
        if wanted is None:
            raise _Nonsense("a number must be international: a plus sign, the country's code, and the rest of it")
        base = f"https://{_public_url(url)}"
        found, problems = await _numbers(_usable(carrier, recipes), http)
        matches = [(one, entry) for one, numbers in found for entry in numbers if normalised(entry.number) == wanted]
        if not matches:
            for problem in problems:
                _complain(problem)
            if found:
                print(f"callengine: {_not_there(wanted, found)}", file=sys.stderr)
            return False
        if len(matches) > 1:
            names = " and ".join(one.name for one, _ in matches)
            raise _Nonsense(f"{masked(wanted)} is a number of {names}: say which with --carrier")
        ((one, entry),) = matches
        await one.control(http).point_number(entry, f"{base}/{one.name}")
        print(f"{wanted} ({one.name}): calls and messages go to {base}/{one.name}")
        return True

    return _run(work)


def _usable(wanted: str | None, recipes: Mapping[str, Callable[[], Carrier]]) -> list[Carrier]:
    """The carriers that can be asked. Raises `ConfigurationError` where there is none."""
    carriers = [make() for name, make in recipes.items() if wanted in (None, name)]
    missing = {carrier.name: carrier.missing_for_commands() for carrier in carriers}
    usable = [carrier for carrier in carriers if missing[carrier.name] is None]
    if not usable:
        remedies = "\n".join(f"  {name}: {remedy}" for name, remedy in missing.items())
        raise ConfigurationError(f"there are no credentials{' for any carrier' if wanted is None else ''}:\n{remedies}")
    return usable


async def _numbers(
    carriers: Sequence[Carrier], http: httpx.AsyncClient
) -> tuple[list[tuple[Carrier, list[PhoneNumber]]], list[CallEngineError]]:
    """What each carrier has; and what went wrong: one that cannot be asked does not hide the others' numbers."""
    found: list[tuple[Carrier, list[PhoneNumber]]] = []
    problems: list[CallEngineError] = []
    for carrier in carriers:
        try:
            found.append((carrier, await carrier.control(http).numbers()))
        except CallEngineError as error:
            problems.append(error)
    return found, problems


def _public_url(url: str) -> str:
    if not url:
        raise _Nonsense(f"say where calls shall go: --to https://voice.example.com, or set {PUBLIC_URL_VARIABLE}")
    try:
        return check_public_url(url)
    except ConfigurationError:
        raise _Nonsense(
            f"{url!r} is not a public URL: carriers connect to no other kind than https://voice.example.com"
        ) from None


def _not_there(number: str, found: list[tuple[Carrier, list[PhoneNumber]]]) -> str:
    numbers = [entry.number for _, entries in found for entry in entries]
    if not numbers:
        return f"{number} cannot be pointed: the {_accounts(found)} no numbers"
    shown = ", ".join(numbers[:SHOWN]) + (" ..." if len(numbers) > SHOWN else "")
    return f"{number} is not there: the {_accounts(found)} {shown}"


def _accounts(found: list[tuple[Carrier, list[PhoneNumber]]]) -> str:
    names = " and ".join(carrier.name for carrier, _ in found)
    return f"accounts of {names} have" if len(found) > 1 else f"account of {names} has"


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _run(work: Callable[[httpx.AsyncClient], Awaitable[bool]]) -> int:
    """Do the work, which says whether it went well; returns the exit status."""
    from callengine.cli.main import FAILED, OK, USAGE

    async def with_http() -> bool:
        async with httpx.AsyncClient() as http:
            return await work(http)

    try:
        return OK if trio.run(with_http) else FAILED
    except _Nonsense as error:
        _complain(error)
        return USAGE
    except CallEngineError as error:
        _complain(error)
        return FAILED


def _complain(error: CallEngineError) -> None:
    print(f"callengine: {error}", file=sys.stderr)
