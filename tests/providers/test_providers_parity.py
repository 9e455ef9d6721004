"""Every recipe has what users and the engine rely on, and what the catalogue says of it is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from cases import CASES, STT, TTS

import callengine.providers as providers
from callengine.cli.reference import specimen
from callengine.ports import Parkable, Probed, SessionContext
from callengine.providers.catalogue import CATALOGUE, Entry
from callengine.providers.fields import VARIABLE
from callengine.testing.vendors import in_memory

VENDORS = tuple(entry for entry in CATALOGUE if entry.name != "local")
KEYLESS = {"ollama", "openai_compatible"}
"""Servers that may know no keys: then theirs is in no variable of its own."""
PARTS = {"streaming", "contexts", "whole", "timeline", "over_http", "local", "http_model", "http_stream", "discover"}
"""Modules without a vendor."""


def named(entry: Entry) -> str:
    return f"{entry.role} {entry.name}"


@pytest.mark.parametrize("entry", VENDORS, ids=named)
def test_every_recipe_has_the_same_settings_and_promises(entry):
    recipe = specimen(entry)
    fields = attrs.fields_dict(type(recipe))

    # its name begins with the vendor's, in logs and errors; it can be asked for free, and parked
    assert recipe.name.startswith("any at " if entry.name == "openai_compatible" else entry.name.split("_")[0])
    assert isinstance(recipe, Probed)
    assert isinstance(recipe, Parkable)
    assert recipe.idle_limit >= 0.0

    # its key is from the environment, and never shown
    assert fields["api_key"].repr is False
    assert (VARIABLE in fields["api_key"].metadata) is (entry.name not in KEYLESS)
    assert "key-of-mine" not in repr(attrs.evolve(recipe, api_key="key-of-mine"))

    # its address, and all that the vendor knows, can be given
    assert recipe.base_url.startswith(("https://", "wss://", "http://127.0.0.1"))
    assert recipe.extra == {}
    assert any(name in fields for name in ("connect", "first_byte", "timeout"))  # no wait is without a bound
    assert "model" in fields or "voice" in fields


@pytest.mark.parametrize("entry", VENDORS, ids=named)
def test_recipes_are_frozen_values(entry):
    recipe = specimen(entry)
    assert recipe == specimen(entry)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        recipe.base_url = "https://elsewhere.test"


def test_no_adapter_is_missing_in_the_catalogue():
    root = Path(providers.__file__).parent
    recipes = {
        (role, name)
        for role in ("stt", "tts", "llm")
        for path in (root / role).glob("*.py")
        for name in re.findall(r"^@attrs\.frozen\nclass ([A-Z]\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if re.search(rf"^class {name}\b(?:.|\n)*?base_url", path.read_text(encoding="utf-8"), re.MULTILINE)
        and path.stem not in PARTS
        and name not in ("Preset", "ElevenLabsVoice")  # bases
    }
    assert recipes == {(entry.role, entry.class_name) for entry in VENDORS}


@pytest.mark.parametrize("case", TTS, ids=str)
def test_what_is_said_of_voices_is_what_the_conformance_suite_proves(case):
    entry = next(entry for entry in CATALOGUE if f"{entry.path}:{entry.class_name}" == case.recipe)
    assert (entry.mulaw, entry.word_times) == (case.native, case.words)


@pytest.mark.parametrize("case", STT, ids=str)
async def test_a_recogniser_hears_mulaw_where_that_is_said_of_it(case, autojump_clock):
    # given what a session of a telephone call tells the vendor
    entry = next(entry for entry in CATALOGUE if f"{entry.path}:{entry.class_name}" == case.recipe)
    told: list[dict[str, Any]] = []
    vendor = case.make_vendor()
    async with in_memory(vendor) as wire:
        context = SessionContext("call-1", wire=wire, opening=lambda opening: told.append(opening.settings))
        async with case.make().open(context):
            pass
    assert bool(re.search(r"mulaw|ulaw|pcmu", json.dumps(told))) is entry.mulaw


def test_every_vendor_is_in_the_conformance_suite():
    tested = {case.recipe for case in CASES}
    same = {"callengine.providers.llm.presets"}  # the same protocol as OpenAICompatible
    assert {f"{each.path}:{each.class_name}" for each in VENDORS if each.path not in same} == tested
