"""Every environment variable that is read: those of the recipes as their fields have them, and the few others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import attrs

from callengine.factories import CARRIERS, carrier_variables
from callengine.providers.catalogue import CATALOGUE

Group: TypeAlias = Literal[
    "The engine", "Recognisers, voices and language models", "Carriers", "The command line, and tests", "Below us"
]


@attrs.frozen
class Variable:
    """An environment variable."""

    name: str
    group: Group
    meaning: str
    secret: bool = False


OTHERS: tuple[Variable, ...] = (
    Variable(
        "CALLENGINE_PUBLIC_URL",
        "The engine",
        "the `https://` address at which carriers reach the engine: `public_url` of `Engine`",
    ),
    Variable(
        "CALLENGINE_LLM_URL",
        "The engine",
        "an agent without `llm` talks to the server at this address, which speaks OpenAI's Chat Completions",
    ),
    Variable(
        "CALLENGINE_LLM_MODEL",
        "The engine",
        "the model of an agent without `llm`, wherever one is found; by default the server's first, or the vendor's",
    ),
    Variable("CALLENGINE_LLM_KEY", "The engine", "the key of the server at `CALLENGINE_LLM_URL`", secret=True),
    Variable(
        "OPENAI_BASE_URL",
        "The engine",
        "an agent without `llm` uses `OPENAI_API_KEY` at this address; the recipes take `base_url=` instead",
    ),
    Variable(
        "OPENBLAS_NUM_THREADS",
        "The command line, and tests",
        "threads of NumPy's matrix library; `serve` and `doctor` set it to 1 where it is not set, as an engine wants",
    ),
    Variable(
        "PYTHONPATH", "The command line, and tests", "`demo` puts this package in front of it, for the engine's process"
    ),
    Variable(
        "CALLENGINE_TEST_SEED",
        "The command line, and tests",
        "the seed of the order in which the call lab runs tasks that are ready at the same moment; by default 0",
    ),
    Variable("SSL_CERT_FILE", "Below us", "certificates to trust, in place of those of `certifi` (`httpx`)"),
    Variable("SSL_CERT_DIR", "Below us", "a directory of them, where `SSL_CERT_FILE` is not set (`httpx`)"),
    *(
        Variable(
            name, "Below us", "proxies for requests to vendors and carriers, but not for their WebSockets (`httpx`)"
        )
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    ),
)
"""What no recipe's field has: by the engine, the command line, and the packages that they are made of."""

_FOR: Mapping[str, str] = MappingProxyType({
    "sender": "the number that calls and messages show, unless they name one",
    "TELNYX_API_KEY": "to take calls (they are answered by a command) and to call, transfer and write",
    "TELNYX_CONNECTION_ID": "the Call Control application that outgoing calls are made through",
})  # fmt: skip
"""What the recipes do not say themselves, of a setting or a variable."""


def variables() -> tuple[Variable, ...]:
    """All of them, by group, each once."""
    found: dict[str, Variable] = {variable.name: variable for variable in OTHERS if variable.group == "The engine"}
    for variable in (*_of_providers(), *_of_carriers(), *OTHERS):
        found.setdefault(variable.name, variable)
    return tuple(found.values())


def _of_providers() -> list[Variable]:
    users: dict[tuple[str, str, bool], list[str]] = {}
    instead: dict[str, str] = {}
    for entry in CATALOGUE:
        for setting in entry.settings():
            first, *others = setting.variables
            users.setdefault((first, setting.name, setting.secret), []).append(f"`{entry.role}.{entry.class_name}`")
            instead |= dict.fromkeys(others, first)
    known = [
        Variable(name, "Recognisers, voices and language models", f"`{setting}` of {_listed(recipes)}", secret)
        for (name, setting, secret), recipes in users.items()
    ]
    known += [
        Variable(name, "Recognisers, voices and language models", f"taken where `{first}` is not set", secret=True)
        for name, first in instead.items()
    ]
    return sorted(known, key=lambda variable: variable.name)


def _of_carriers() -> list[Variable]:
    return [
        Variable(variable, "Carriers", _use(recipe, setting, variable), secret and setting != "sender")
        for recipe in CARRIERS.values()
        for setting, variable, secret in carrier_variables(recipe)
    ]


def _use(recipe: Any, setting: str, variable: str) -> str:
    """What a carrier's setting is for; what it cannot do without is what the recipe says when it has none."""
    what = f"`{setting}` of `{recipe.__name__}`"
    if told := _FOR.get(variable, _FOR.get(setting)):
        return f"{what}: {told}"
    bare: Any = recipe(**{setting: "" for setting, _, _ in carrier_variables(recipe)})
    missing = {"take calls": bare.missing_configuration(), "call, transfer and write": bare.missing_for_commands()}
    return f"{what}: to {' and to '.join(use for use, text in missing.items() if variable in (text or ''))}"


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
