# ruff: noqa: ARG002, ARG005 - the protocols name the arguments
"""``callengine doctor --providers``: who is asked, what is found, and how long it took."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from served import run

from callengine.cli.doctor_providers import LONGEST, Subject, check, subjects, table
from callengine.cli.environment import variables
from callengine.cli.reference import specimen
from callengine.errors import ConfigurationError
from callengine.providers import llm, stt, tts
from callengine.providers.catalogue import CATALOGUE
from callengine.testing.vendors import Answer, Vendor, in_memory, on_loopback
from callengine.testing.vendors.cartesia import FakeCartesia
from callengine.testing.vendors.deepgram import FakeDeepgram
from callengine.testing.vendors.openai_chat import FakeOpenAIChat
from callengine.testing.vendors.rime import FakeRime
from callengine.wire import open_wire

BARE = dict.fromkeys([variable.name for variable in variables() if variable.group != "Below us"])
"""Nothing that we read is set."""
SECRET = "sk-of-the-doctors-test"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BARE:
        monkeypatch.delenv(name, raising=False)


def deepgram(key: str = FakeDeepgram.key, **settings: str) -> Subject:
    recipe = stt.Deepgram(api_key=key, **settings)
    return Subject("stt", "deepgram", "DEEPGRAM_API_KEY is set", "DEEPGRAM_API_KEY", recipe)


# --- who is asked -----------------------------------------------------------------------------------------------------


def test_those_are_asked_whose_key_is_set(monkeypatch):
    monkeypatch.setenv("DEEPGRAM_API_KEY", SECRET)
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET)
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.7")
    monkeypatch.setenv("CALLENGINE_LLM_URL", "http://10.0.0.8:8000/v1")
    found = subjects()
    asked = {(each.role, each.name, each.key) for each in found if each.recipe is not None}
    assert asked == {
        ("stt", "deepgram", "DEEPGRAM_API_KEY is set"),
        ("stt", "deepgram_flux", "DEEPGRAM_API_KEY is set"),
        ("tts", "deepgram", "DEEPGRAM_API_KEY is set"),
        ("llm", "gemini", "GOOGLE_API_KEY is set"),
        ("llm", "ollama", ""),
        ("llm", "openai_compatible", ""),
    }
    # the others are no failure
    others = {each.name: each for each in found if each.recipe is None}
    assert others["cartesia"].key == "no key: CARTESIA_API_KEY"
    assert others["whisper"].note == "not asked, but with --provider whisper"
    assert not any(each.problem for each in others.values())
    # every recipe is there whose vendor can be asked: all but those that run here
    assert len(found) == len([entry for entry in CATALOGUE if entry.name != "local"])
    assert SECRET not in repr(found)


def test_those_that_are_named_are_asked_and_must_have_their_keys():
    found = subjects(["Whisper", "deepgram-flux"])
    assert [(each.role, each.name, each.recipe is None, each.problem) for each in found] == [
        ("stt", "deepgram_flux", True, True),
        ("stt", "whisper", False, False),
    ]
    with pytest.raises(ConfigurationError, match="no provider is called depgram: there are assemblyai, azure"):
        subjects(["depgram", "whisper"])


def test_half_of_a_configuration_is_a_problem(monkeypatch):
    monkeypatch.setenv("AZURE_SPEECH_KEY", SECRET)
    monkeypatch.setenv("RIME_API_KEY", "two words")
    found = {(each.role, each.name): each for each in subjects() if each.problem}
    assert "AZURE_SPEECH_REGION" in found["stt", "azure"].note
    assert "copy it again" in found["tts", "rime"].note
    assert len(found) == 3


# --- what is found ----------------------------------------------------------------------------------------------------


def memory(*vendors: Vendor):
    return partial(in_memory, *vendors)


async def test_connecting_and_answering_are_timed_apart(autojump_clock):
    # given vendors that are asked over HTTP, and by a WebSocket
    for vendor, subject in (
        (FakeDeepgram(), deepgram()),
        (FakeRime(), Subject("tts", "rime", recipe=tts.Rime(api_key=FakeRime.key))),
    ):
        vendor.faults.connect_delay, vendor.faults.answer_delay = 0.04, 0.07

        # when they are asked
        (finding,) = await check([subject], memory(vendor))

        # then it is known what took how long
        assert (finding.state, finding.result) == ("ok", "ok")
        assert finding.connected == pytest.approx(0.04)
        assert finding.answered == pytest.approx(0.07)


async def test_a_bad_key_is_told_in_the_vendors_words(autojump_clock):
    bad = deepgram("another-key-of-somebody")
    (finding,) = await check([bad], memory(FakeDeepgram()))
    assert (finding.state, finding.result[:8]) == ("problem", "HTTP 401")
    assert finding.remedy.endswith("in credit (DEEPGRAM_API_KEY)")
    assert finding.answered is not None
    lines = table([finding])
    assert "another-key-of-somebody" not in "".join(lines) + repr(finding)
    assert lines[2].strip().startswith("→ see that the key")


async def test_what_passes_by_itself_has_another_remedy(autojump_clock):
    # given one that is overloaded, one that cannot be reached, and one that says nothing
    overloaded, unreachable, mute = FakeDeepgram(), FakeDeepgram(), FakeDeepgram()
    overloaded.refuse(503, "busy")
    unreachable.faults.unreachable = 1
    mute.faults.answer_delay = 60
    wanted = [("HTTP 503", True), ("the connection failed", False), ("no answer within 5 s", True)]
    for vendor, (words, connected) in zip((overloaded, unreachable, mute), wanted, strict=True):
        (finding,) = await check([deepgram()], memory(vendor))
        assert finding.state == "problem"
        assert finding.result.startswith(words)
        assert (finding.connected is not None) is connected
        assert finding.remedy.startswith("try again")


async def test_all_are_asked_at_once_within_one_bound(autojump_clock):
    class Patient:
        """A recipe without a clock of its own."""

        async def probe(self, wire: object) -> None:
            await trio.sleep_forever()

    # given one that never answers between two that take their time
    vendor = FakeDeepgram()
    vendor.faults.answer_delay = 4.0
    started = trio.current_time()
    findings = await check([deepgram(), Subject("llm", "patient", recipe=Patient()), deepgram()], memory(vendor))
    assert [finding.state for finding in findings] == ["ok", "problem", "ok"]
    assert findings[1].result == f"no answer within {LONGEST:g} s"
    assert trio.current_time() - started == pytest.approx(LONGEST)


@pytest.mark.parametrize(
    "entry", [each for each in CATALOGUE if each.name != "local"], ids=lambda each: f"{each.role} {each.name}"
)
async def test_every_recipe_is_asked_and_timed(entry, autojump_clock):
    # given a service that takes whatever it is asked, after a moment
    class Agreeable(Vendor):
        hosts = ("api.vendor.test",)

        async def answer(self, request):
            return Answer.of({})

        def admit(self, request):
            return None

    class Anywhere:
        """A network on which every name leads there."""

        def __init__(self, network):
            self.connect = lambda host, port, *, tls: network.connect("api.vendor.test", port, tls=tls)

    vendor = Agreeable()
    vendor.faults.connect_delay, vendor.faults.answer_delay = 0.02, 0.03

    @asynccontextmanager
    async def way():
        async with in_memory(vendor) as wire:
            pool = wire.http._transport._pool
            cable = wire.network
            pool._network_backend._cable = Anywhere(cable)
            wire.network = Anywhere(cable)
            yield wire

    # when any of our recipes asks it
    (finding,) = await check([Subject(entry.role, entry.name, recipe=specimen(entry))], way)

    # then there is an answer, and the times that it took
    assert finding.connected == pytest.approx(0.02)
    assert finding.answered == pytest.approx(0.03)


# --- over real connections --------------------------------------------------------------------------------------------


async def test_vendors_on_real_sockets():
    # given three vendors on this machine, and one key that is not taken
    voice, ear, model = FakeCartesia(), FakeDeepgram(), FakeOpenAIChat()
    async with AsyncExitStack() as stack:
        at = [await stack.enter_async_context(on_loopback(vendor)) for vendor in (voice, ear, model)]
        asked = [
            Subject("tts", "cartesia", recipe=tts.Cartesia(api_key=voice.key, base_url=f"ws://{at[0]}")),
            deepgram("another-key-of-somebody", base_url=f"ws://{at[1]}"),
            Subject("llm", "openai", recipe=llm.OpenAI(api_key=model.key, base_url=f"http://{at[2]}/v1")),
        ]
        findings = await check(asked, open_wire)
    assert [finding.state for finding in findings] == ["ok", "problem", "ok"]
    for finding in findings:
        assert 0 < (finding.connected or 0) < 5
        assert 0 < (finding.answered or 0) < 5


async def test_the_command_asks_and_says_so_with_its_status(tmp_path: Path):
    # given a server of one's own, named in the environment
    vendor = FakeOpenAIChat()
    async with on_loopback(vendor) as address:
        theirs = {**BARE, "CALLENGINE_LLM_URL": f"http://{address}/v1", "CALLENGINE_LLM_KEY": vendor.key}
        good = await trio.to_thread.run_sync(partial(run, "doctor", "--providers", cwd=tmp_path, **theirs))
        theirs["CALLENGINE_LLM_KEY"] = "another-key-of-somebody"
        bad = await trio.to_thread.run_sync(partial(run, "doctor", "--providers", cwd=tmp_path, **theirs))

    # then it is asked first, and everything else is listed
    assert good.status == 0, good.errors
    line = next(line for line in good.output.splitlines() if "openai_compatible" in line)
    assert line.split()[0] == "ok"
    assert "CALLENGINE_LLM_KEY is set" in line
    assert line.count(" ms") == 2
    assert all(f"no key: {name}" in good.output for name in ("DEEPGRAM_API_KEY", "RIME_API_KEY", "GROQ_API_KEY"))
    assert bad.status == 1
    assert "HTTP 401" in bad.output
    assert "another-key-of-somebody" not in bad.output + bad.errors


def test_without_any_key_there_is_nothing_to_ask(tmp_path: Path):
    ran = run("doctor", "--providers", cwd=tmp_path, **BARE)
    assert (ran.status, ran.errors) == (0, "")
    assert {line.split()[0] for line in ran.output.splitlines()[1:]} == {"note"}
    assert "\x1b" not in ran.output  # no terminal, no colours


def test_what_is_named_and_has_no_key_is_a_failure(tmp_path: Path):
    ran = run("doctor", "--provider", "deepgram", cwd=tmp_path, **BARE)
    assert ran.status == 1
    assert ran.output.count("no key: DEEPGRAM_API_KEY") == 2  # the recogniser and the voice
    assert len(ran.output.splitlines()) == 3
    nobody = run("doctor", "--provider", "nobody", cwd=tmp_path, **BARE)
    assert nobody.status == 2
    assert "there are assemblyai, azure" in nobody.errors


def test_the_table_shows_pale_what_was_not_asked():
    bare = [each for each in subjects() if each.name == "rime"]
    findings = trio.run(check, bare)
    assert table(findings, dim=True)[1].startswith("\x1b[2mnote")
    assert not table(findings)[1].startswith("\x1b")
