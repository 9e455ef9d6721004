"""Every variable that is read is on the page, and the pages are those that the code makes."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import callengine
from callengine.cli import reference
from callengine.cli.environment import Variable, variables
from callengine.errors import ConfigurationError
from callengine.factories import CARRIERS
from callengine.providers.catalogue import CATALOGUE

SOURCE = Path(callengine.__file__).parent
DOCS = SOURCE.parent / "docs"
SEAMS = {
    "carriers/keys.py": "which has the name from the carriers' fields",
    "providers/fields.py": "which has it from the recipes' fields",
    "providers/catalogue.py": "which looks whether those are set",
    "providers/llm/discover.py": "which looks for the presets' keys",
    "factories.py": "which says whether those of the carriers are set",
    "cli/doctor_providers.py": "which says whether those of the recipes are set",
}
"""Files in which a variable's name is not written down: the recipes' own, which are read below."""
OTHERS = {"NO_COLOR"}
"""What concerns nothing but how a line looks: https://no-color.org."""


class Reads(ast.NodeVisitor):
    """Where a module reads the environment, and by which names as far as they stand there."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.names: set[str] = set()
        self.unnamed: list[int] = []

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        reads = isinstance(function, ast.Attribute) and function.attr in ("get", "pop", "setdefault")
        if reads and _is_environment(function.value):
            self._read(node.args[0])
        if isinstance(function, ast.Attribute | ast.Name) and _last(function) in (
            "getenv",
            "FromEnvironment",
            "key_field",
            "variable_field",
        ):
            for argument in node.args if _last(function) == "key_field" else node.args[:1]:
                self._read(argument)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_environment(node.value):
            self._read(node.slice)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if any(map(_is_environment, node.comparators)):
            self._read(node.left)
        self.generic_visit(node)

    def _read(self, name: ast.expr) -> None:
        found = set(_constants(name, self.module))
        self.names |= found
        if not found:
            self.unnamed.append(name.lineno)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_environment(node: ast.expr) -> bool:
    return _last(node) in ("environ", "_environ")


def _constants(node: ast.expr, module: ModuleType) -> Iterator[str]:
    """The texts in an expression: written out, or in a constant of the module."""
    for part in ast.walk(node):
        value = part.value if isinstance(part, ast.Constant) else None
        if isinstance(part, ast.Name):
            value = getattr(module, part.id, None)
        values = value.values() if isinstance(value, dict) else [value]
        yield from (text for text in values if isinstance(text, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", text))


def _module(path: Path) -> ModuleType:
    return import_module(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"))


def _files() -> list[Path]:
    found = [
        path for path in SOURCE.rglob("*.py") if re.search("environ|getenv|_field|FromEnv", path.read_text("utf-8"))
    ]
    return [path for path in found if path.name != "__main__.py"]


def test_what_the_source_reads_is_collected():
    known = {variable.name for variable in variables()}
    for path in _files():
        text = path.read_text(encoding="utf-8")
        reads = Reads(_module(path))
        reads.visit(ast.parse(text))
        where = path.relative_to(SOURCE).as_posix()
        assert reads.names - OTHERS <= known, f"{where} reads variables that no page has: {reads.names - known}"
        assert not reads.unnamed or where in SEAMS, f"{where}:{reads.unnamed} reads a variable without a name"
    written = {
        name for path in SOURCE.rglob("*.py") for name in re.findall(r"\bCALLENGINE_[A-Z_]+\b", path.read_text("utf-8"))
    }
    assert {name for name in written if not name.endswith("_")} <= known


def test_a_variable_that_is_not_collected_would_be_found():
    reads = Reads(callengine)
    lines = ("os.environ.get('NEW_ONE', '')", "os.environ['OTHER_ONE']", "os.getenv(name)", "'THIRD' in os.environ")
    reads.visit(ast.parse("\n".join(lines)))
    assert reads.names == {"NEW_ONE", "OTHER_ONE", "THIRD"}
    assert reads.unnamed == [3]


class Listening(dict[str, str]):
    """An environment that is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked.add(name)
        return default


def test_what_the_recipes_ask_for_is_collected_under_their_names(monkeypatch: pytest.MonkeyPatch):
    known = {variable.name: variable for variable in variables()}
    for recipe in [entry.load() for entry in CATALOGUE] + list(CARRIERS.values()):
        environment = Listening()
        with monkeypatch.context() as patched:
            patched.setattr(os, "environ", environment)
            needed = {"model": "m", "base_url": "http://h/v1"} if recipe.__name__ == "OpenAICompatible" else {}
            with suppress(ConfigurationError):  # no key
                recipe(**needed)
        for name in environment.asked - {"SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"}:
            assert f"{recipe.__name__}`" in known[name].meaning or "is not set" in known[name].meaning


def test_secrets_are_marked_and_nothing_is_there_twice():
    known = variables()
    assert len({variable.name for variable in known}) == len(known)
    shown = {variable.name for variable in known if not variable.secret}
    assert not {name for name in shown if name.endswith(("_API_KEY", "_TOKEN", "_SECRET", "_SIGNING_KEY"))}
    assert {"AZURE_SPEECH_REGION", "TWILIO_PHONE_NUMBER", "TELNYX_PUBLIC_KEY", "CALLENGINE_PUBLIC_URL"} <= shown
    by_name = {variable.name: variable for variable in known}
    assert by_name["DEEPGRAM_API_KEY"] == Variable(
        "DEEPGRAM_API_KEY",
        "Recognisers, voices and language models",
        "`api_key` of `stt.Deepgram`, `stt.DeepgramFlux` and `tts.Deepgram`",
        secret=True,
    )
    assert by_name["PLIVO_AUTH_ID"].meaning == "`auth_id` of `Plivo`: to call, transfer and write"
    assert all(not variable.meaning.endswith("to ") for variable in known)


@pytest.mark.parametrize(
    ("page", "made"), [("environment.md", reference.environment_page), ("providers.md", reference.providers_page)]
)
def test_the_pages_are_those_that_the_code_makes(page, made):
    written = (DOCS / page).read_text(encoding="utf-8")
    assert written == made(), "write it anew: python -m callengine.cli.reference docs"


def test_the_pages_do_not_depend_on_what_is_set(monkeypatch: pytest.MonkeyPatch):
    pages = reference.environment_page(), reference.providers_page()
    for variable in variables():
        if variable.group != "Below us":
            monkeypatch.setenv(variable.name, "http://10.9.8.7:6543")
    assert (reference.environment_page(), reference.providers_page()) == pages


def test_the_pages_are_written_where_one_says(tmp_path: Path):
    reference.main(tmp_path)
    assert (tmp_path / "environment.md").read_text(encoding="utf-8") == reference.environment_page()
    assert (tmp_path / "providers.md").read_text(encoding="utf-8") == reference.providers_page()


def test_the_program_on_the_page_of_providers_runs(monkeypatch: pytest.MonkeyPatch):
    for name in ("DEEPGRAM_API_KEY", "GROQ_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.setenv(name, "key-of-the-page")
    scope: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", reference.providers_page(), re.DOTALL)[0], scope)
    ours, same = scope["agent"], scope["same"]
    assert (ours.stt, ours.llm, ours.tts) == (same.stt, same.llm, same.tts)  # type: ignore[attr-defined]
