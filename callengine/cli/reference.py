"""Pages of the documentation that are made from the code: ``python -m callengine.cli.reference docs`` writes them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from callengine.cli.doctor_providers import LONGEST
from callengine.cli.environment import Variable, variables
from callengine.ports import ProviderRole
from callengine.providers.catalogue import Entry, entries
from callengine.providers.llm.http_model import HttpModel

_MADE = "<!-- Made from the code: python -m callengine.cli.reference docs -->"

_ENVIRONMENT = """\
# Environment variables

Everything that is read from the environment, when a recipe or an engine is made; an argument always counts more.
Values are never shown: secrets are not in logs, journals, errors or representations. `callengine doctor` says
which ones are missing for what.
"""

_PROVIDERS = """\
# Providers

All of them are recipes: frozen, shared by all calls, with their keys from the environment unless they are given
([environment.md](environment.md)). Several in a row stand in for each other ([failover.md](failover.md)); another
vendor is one file ([adding-a-provider.md](adding-a-provider.md)).

```python
from callengine import Agent, create_llm, create_stt, create_tts
from callengine.providers import llm, stt, tts

agent = Agent(stt=[stt.Deepgram(), stt.Local()], llm=llm.Groq(), tts=tts.Cartesia())

same = Agent(            # by name, as a configuration file has them; behind the slash is the model, or the voice
    stt=[create_stt("deepgram/nova-3"), create_stt("local")],
    llm=create_llm("groq/openai/gpt-oss-20b"),
    tts=create_tts("cartesia"),
)
```

`create_stt(name, model, **settings)`, `create_tts(name, voice, **settings)` and `create_llm(name, model, **settings)`
take the recipes' settings, `create_carrier(name, **settings)` those of a carrier. A name or a setting that does not
exist raises `ConfigurationError`, which lists those that do, and which keys are set. `create_sms("twilio")` is what
sends text messages without an engine: `await create_sms("twilio").send("+12025550123", "Your table is ready.")`.

`extra={...}` of every recipe but the local ones is put over what is sent last: a vendor's new setting needs no
support here. `base_url=` is for a vendor's other regions, a proxy, or a simulated vendor
(`callengine.testing.vendors`).
"""

_DOCTOR = f"""\
## Is the key good?

```
callengine doctor --providers                  # every vendor whose key is set
callengine doctor --provider deepgram          # this one
```

It makes each vendor's free request, all at once, and prints how long the connection took (name, TCP and TLS), and how
long the first byte of the answer took after that. Vendors without a key are listed, and no failure; a key that is not
taken, or a vendor that does not answer within {LONGEST:g} s, is one: the vendor's own words are printed, and the
status is 1. No key is ever printed.
"""

_ROLES: Sequence[tuple[ProviderRole, str, str]] = (
    ("stt", "Recognisers", "`mu-law`: the carrier's audio is sent as it came; the others get it converted."),
    ("llm", "Language models", "All stream over HTTP, from a pool of connections that all calls share."),
    (
        "tts",
        "Voices",
        "`mu-law`: made for the telephone by the vendor; audio of the others is converted. `word times`: what was "
        "heard of a sentence that was cut is known to the word; else it is reckoned.",
    ),
)

_PARKED = """\
`while it rings`: for how long a session may be open before its call is answered, without cost or harm. A recipe over
HTTP holds no connection of its own: any time. `local` runs in the engine's process, and is loaded before it takes
calls.
"""


def environment_page() -> str:
    """``docs/environment.md``."""
    parts = [_ENVIRONMENT]
    known = variables()
    for group in dict.fromkeys(variable.group for variable in known):
        rows = [_row(variable) for variable in known if variable.group == group]
        parts.append(f"## {group}\n\n{_table(('variable', 'what it is'), rows)}")
    return "\n".join([_MADE, "", *parts])


def _row(variable: Variable) -> tuple[str, str]:
    return f"`{variable.name}`{' (secret)' if variable.secret else ''}", variable.meaning


def providers_page() -> str:
    """``docs/providers.md``."""
    parts = [_PROVIDERS]
    for role, title, words in _ROLES:
        rows = [_facts(entry) for entry in entries(role)]
        columns = [column for column in rows[0] if any(row[column] for row in rows)]
        parts.append(
            f"## {title}\n\n{words}\n\n{_table(columns, ([row[column] for column in columns] for row in rows))}"
        )
    return "\n".join([_MADE, "", *parts, _PARKED, _DOCTOR])


def _facts(entry: Entry) -> dict[str, str]:
    """A recipe's row; a column that is empty in all rows is left out."""
    recipe = entry.load()
    fields = attrs.fields_dict(recipe)
    needed = " and ".join(" or ".join(f"`{name}`" for name in setting.variables) for setting in entry.settings())
    optional = all(setting.optional or not setting.secret for setting in entry.settings())
    preset = fields.get("voice", fields.get("model"))
    shown = preset is not None and isinstance(preset.default, str) and preset.default
    return {
        "class": f"`{entry.role}.{entry.class_name}`",
        "name": f"`{entry.name}`",
        "from the environment": f"{needed} (if any)" if needed and optional else needed,
        "by default": f"`{shown}`" if shown else "",
        "transport": "" if entry.role == "llm" else _transport(fields),
        "mu-law": "yes" if entry.mulaw else "",
        "word times": "yes" if entry.word_times else "",
        "while it rings": "" if entry.role == "llm" else _parked(specimen(entry)),
    }


def _transport(fields: dict[str, attrs.Attribute[Any]]) -> str:
    if "base_url" not in fields:
        return "in the process"
    return "WebSocket" if str(fields["base_url"].default).startswith("ws") else "HTTP"


def _parked(recipe: Any) -> str:
    limit = getattr(recipe, "idle_limit", math.inf)
    if math.isinf(limit):
        return "any time"
    return f"{limit:g} s" if limit else "not at all"


def specimen(entry: Entry) -> Any:
    """One of these recipes, with a key that is none."""
    recipe = entry.load()
    settings = {"api_key": "none", "region": "westeurope", "base_url": "http://127.0.0.1:8000/v1", "model": "any"}
    wanted = {"api_key", "region"}
    if issubclass(recipe, HttpModel):
        wanted |= {field.name for field in attrs.fields(recipe) if field.default is attrs.NOTHING}
    names = {field.alias for field in attrs.fields(recipe)}
    return recipe(**{name: value for name, value in settings.items() if name in names & wanted})


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(columns)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


def main(directory: Path) -> None:
    """Write the pages."""
    (directory / "environment.md").write_text(environment_page(), encoding="utf-8")
    (directory / "providers.md").write_text(providers_page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
