"""Vendors and carriers by name: what is made, and what is said where nothing can be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import attrs
import httpx
import pytest

from callengine import (
    Agent,
    AudioSocket,
    ConfigurationError,
    Plivo,
    SignalWire,
    Telnyx,
    Twilio,
    create_carrier,
    create_llm,
    create_sms,
    create_stt,
    create_tts,
)
from callengine.factories import CARRIERS, SMS
from callengine.providers import llm, stt, tts
from callengine.providers.catalogue import CATALOGUE
from callengine.testing.accounts import SENDER, recipe
from callengine.wire import Internet, Wire

MAKE = {"stt": create_stt, "tts": create_tts, "llm": create_llm}
PACKAGES = {"stt": stt, "tts": tts, "llm": llm}
PERSON = "+15005550101"
KEY = "key-of-the-factory-test"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a recipe reads is set."""
    for name in list(os.environ):
        if name.endswith(("_KEY", "_TOKEN", "_REGION", "_HOST")) or name.startswith(
            ("TWILIO_", "TELNYX_", "PLIVO_", "SIGNALWIRE_")
        ):
            monkeypatch.delenv(name)


# --- what is made -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: f"{entry.role} {entry.name}")
def test_every_recipe_is_made_by_its_name(entry, monkeypatch):
    for setting in entry.settings():
        monkeypatch.setenv(setting.variables[0], "westeurope" if setting.name == "region" else KEY)
    needed = {"base_url": "http://127.0.0.1:8000/v1", "model": "m"} if entry.name == "openai_compatible" else {}
    made = MAKE[entry.role](entry.name, **needed)
    assert type(made) is getattr(PACKAGES[entry.role], entry.class_name)
    assert getattr(made, "api_key", None) in ({KEY} if any(each.secret for each in entry.settings()) else {None})


def test_the_packages_export_what_the_catalogue_has():
    for role, package in PACKAGES.items():
        names = {entry.class_name for entry in CATALOGUE if entry.role == role}
        assert set(package.__all__) - {"Found", "NotFound", "find_language_model"} == names
        assert dir(package) == package.__all__ == sorted(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)
        with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
            _ = package.Nobody
    assert len({(entry.role, entry.name) for entry in CATALOGUE}) == len(CATALOGUE)


def test_the_second_argument_may_stand_behind_a_slash():
    assert create_stt("deepgram/nova-2", api_key=KEY) == stt.Deepgram("nova-2", api_key=KEY)
    assert create_stt("deepgram", "nova-2", api_key=KEY) == stt.Deepgram("nova-2", api_key=KEY)
    # a model's own name may have one too
    assert create_llm("groq/openai/gpt-oss-120b", api_key=KEY) == llm.Groq("openai/gpt-oss-120b", api_key=KEY)
    # of a voice's recipe it is the voice, wherever the recipe has it
    assert create_tts("openai/alloy", api_key=KEY) == tts.OpenAI(voice="alloy", api_key=KEY)
    assert create_tts("cartesia", "v-1", model="sonic-2", api_key=KEY) == tts.Cartesia("v-1", "sonic-2", api_key=KEY)
    with pytest.raises(ConfigurationError, match=r"deepgram/nova-2 names the model already: leave model='nova-3' out"):
        create_stt("deepgram/nova-2", "nova-3", api_key=KEY)


@pytest.mark.parametrize("name", ["deepgram_flux", "deepgram-flux", "DeepgramFlux", "Deepgram Flux"])
def test_a_name_may_be_spelled_as_one_likes(name):
    assert create_stt(name, api_key=KEY) == stt.DeepgramFlux(api_key=KEY)


def test_a_server_without_a_name_has_an_address():
    made = create_llm("openai_compatible", "qwen3", base_url="http://127.0.0.1:8000/v1")
    assert made == llm.OpenAICompatible("http://127.0.0.1:8000/v1", "qwen3")
    with pytest.raises(ConfigurationError, match="openai_compatible needs base_url=, model="):
        create_llm("openai_compatible")


# --- what is said where nothing can be made ---------------------------------------------------------------------------


def test_a_name_that_is_none_is_answered_with_those_that_there_are(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", KEY)
    with pytest.raises(ConfigurationError) as raised:
        create_stt("depgram")
    first, *lines = str(raised.value).splitlines()
    assert first == "there is no recogniser 'depgram': did you mean 'deepgram'? There are:"
    assert "  deepgram: DEEPGRAM_API_KEY (set)" in lines
    assert "  azure: AZURE_SPEECH_KEY (not set), AZURE_SPEECH_REGION (not set)" in lines
    assert "  local: reads no variable" in lines
    assert len(lines) == len(stt.__all__)
    assert KEY not in str(raised.value)
    with pytest.raises(ConfigurationError, match=r"there is no language model 'zzz'\. There are:") as raised:
        create_llm("zzz")
    assert "  gemini: GEMINI_API_KEY or GOOGLE_API_KEY (not set)" in str(raised.value).splitlines()
    with pytest.raises(ConfigurationError, match="there is no voice 'assemblyai'"):
        create_tts("assemblyai")


@pytest.mark.parametrize(
    ("make", "name", "variable"),
    [
        (create_stt, "assemblyai", "ASSEMBLYAI_API_KEY"),
        (create_tts, "rime", "RIME_API_KEY"),
        (create_llm, "gemini", "GEMINI_API_KEY"),
        (create_carrier, "twilio", "TWILIO_AUTH_TOKEN"),
        (create_carrier, "telnyx", "TELNYX_PUBLIC_KEY"),
        (create_sms, "plivo", "PLIVO_AUTH_ID"),
    ],
)
def test_a_missing_key_names_its_variable(make, name, variable):
    with pytest.raises(ConfigurationError, match=variable):
        make(name)


def test_a_setting_that_is_none_is_answered_with_those_that_there_are():
    with pytest.raises(ConfigurationError) as raised:
        create_stt("deepgram", api_key=KEY, keyterm=["Chez Trio"])
    assert str(raised.value).startswith(
        "deepgram has no setting 'keyterm': did you mean keyterms? It has model, api_key"
    )
    assert "smart_format" in str(raised.value)
    with pytest.raises(ConfigurationError, match=r"local has no setting 'model'\. It has none"):
        create_stt("local/tiny")
    with pytest.raises(ConfigurationError, match=r"telnyx has no setting 'zzz'\. It has api_key"):
        create_carrier("telnyx", zzz=1)
    with pytest.raises(ConfigurationError, match="telnyx has no setting '_key'"):  # which nobody sets
        create_carrier("telnyx", _key=b"")


# --- carriers, and text messages --------------------------------------------------------------------------------------


def test_carriers_are_made_by_their_names():
    assert create_carrier("twilio", auth_token="0123456789abcdef") == Twilio("0123456789abcdef")
    assert create_carrier("AudioSocket", port=0) == AudioSocket(port=0)
    assert create_carrier("signal-wire", signing_key="PSK_0123456789") == SignalWire("PSK_0123456789")
    # with the keys for commands alone, it can still call
    assert create_carrier("telnyx", api_key=KEY) == Telnyx(api_key=KEY)
    assert create_carrier("plivo", auth_token=KEY, auth_id="MA0") == Plivo("MA0", KEY)
    # an engine with two accounts calls one of them otherwise
    assert create_carrier("twilio", auth_token="0123456789abcdef", name="second").name == "second"
    with pytest.raises(ConfigurationError, match="no carrier 'twillio': did you mean 'twilio'") as raised:
        create_carrier("twillio")
    assert "  audiosocket: reads no variable" in str(raised.value).splitlines()
    assert "TWILIO_AUTH_TOKEN (not set), TWILIO_ACCOUNT_SID (not set)" in str(raised.value)


def test_text_messages_go_through_the_carriers_that_have_them():
    assert {name for name, carrier in CARRIERS.items() if carrier().capabilities.messages} == set(SMS)
    with pytest.raises(ConfigurationError, match="no carrier for text messages 'audiosocket'"):
        create_sms("audiosocket")


def account(name: str) -> dict[str, Any]:
    """The lab's account, as settings."""
    ours = recipe(name)
    return {field.alias: getattr(ours, field.name) for field in attrs.fields(type(ours)) if field.init}


@pytest.mark.parametrize("name", ["twilio", "signalwire", "telnyx", "plivo"])
async def test_a_text_message_is_sent_without_an_engine(call_lab, name):
    async with (
        call_lab.network(Agent(greeting="Hello."), carrier=name) as network,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=network.cloud.app)) as http,
    ):
        # given the account of the lab, by name
        sms = create_sms(name, wire=Wire(http, Internet()), **account(name))

        # when it writes
        names = [
            await sms.send(PERSON, "Your table is ready."),
            await sms.send("+1 (500) 555-0101", "It still is.", SENDER),
        ]

        # then the person gets it, with our number
        assert [(text.sender, text.recipient, text.text) for text in network.cloud.texts] == [
            (SENDER, PERSON, "Your table is ready."),
            (SENDER, PERSON, "It still is."),
        ]
        assert names == [text.message_id for text in network.cloud.texts]
        for to, text in (("Anna", "Hello"), (PERSON, " ")):
            with pytest.raises(ConfigurationError):
                await sms.send(to, text)
        assert len(network.cloud.texts) == 2


async def test_without_a_pool_it_makes_a_connection_of_its_own(live_call_lab):
    async with live_call_lab.network(Agent(greeting="Hello."), carrier="twilio") as network:
        address = network.engine.carriers["twilio"].api_url
        await create_sms("twilio", **account("twilio") | {"api_url": address}).send(PERSON, "Hello")
        assert [text.text for text in network.cloud.texts] == ["Hello"]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_nothing_is_imported_before_it_is_named():
    code = (
        "import sys, callengine\n"
        "from callengine.providers import llm, stt, tts\n"
        "vendors = lambda: {name for name in sys.modules if name.startswith("
        "('callengine.providers.stt.', 'callengine.providers.tts.'))}\n"
        "assert not vendors(), vendors()\n"
        "callengine.create_stt('whisper')\n"
        "assert 'callengine.providers.stt.whisper' in vendors()\n"
        "assert not vendors() & {'callengine.providers.stt.deepgram', 'callengine.providers.tts.azure'}\n"
        "assert not {'callengine.providers.llm.anthropic', 'callengine.providers.llm.gemini'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
