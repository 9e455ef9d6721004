"""``callengine doctor``: what it finds, and that it tells no secret."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from served import run

from callengine.cli.requirements import Requirement, requirements


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_sound_machine_has_no_problem(tmp_path: Path) -> None:
    ran = run("doctor", "--port", free_port(), cwd=tmp_path)
    assert ran.status == 0
    assert "problem" not in ran.output
    for part in ("Python 3.", "packages of the core", "'local'", "weights", "language model", "voice activity"):
        assert part in ran.output
    assert "no carrier has its keys here" in ran.output
    assert "set TWILIO_AUTH_TOKEN" in ran.output
    assert "set PLIVO_AUTH_TOKEN" in ran.output


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    secrets = {
        "TWILIO_AUTH_TOKEN": "f00dfeedf00dfeed",
        "CALLENGINE_PUBLIC_URL": "https://hidden.example.com",
        "OPENAI_API_KEY": "sk-f00dfeed",
    }
    ran = run("doctor", "--port", free_port(), cwd=tmp_path, **secrets)
    assert "twilio: keys to take calls; it cannot call" in ran.output
    assert "set TWILIO_ACCOUNT_SID" in ran.output
    assert "CALLENGINE_PUBLIC_URL is set" in ran.output
    assert "OPENAI_API_KEY is set" in ran.output
    assert not any(secret in ran.output + ran.errors for secret in secrets.values())


def test_a_taken_port_is_a_problem(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = run("doctor", "--port", port, cwd=tmp_path)
    assert ran.status == 1
    assert f"problem  port {port}" in ran.output


def test_a_public_url_that_carriers_cannot_use_is_a_problem(tmp_path: Path) -> None:
    ran = run("doctor", "--port", free_port(), cwd=tmp_path, CALLENGINE_PUBLIC_URL="http://here")
    assert ran.status == 1
    assert "problem  CALLENGINE_PUBLIC_URL" in ran.output


def test_a_missing_extra_is_a_note_with_the_remedy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from importlib import metadata\n"
        "real = metadata.version\n"
        "def version(name):\n"
        "    if name == 'onnxruntime': raise metadata.PackageNotFoundError(name)\n"
        "    return '0.0.1' if name == 'hibari-tts' else real(name)\n"
        "metadata.version = version\n"
        f"from callengine.cli.main import main; sys.exit(main(['doctor', '--port', '{free_port()}']))"
    )
    ran = run(cwd=tmp_path, code=code)
    assert "note     packages of the extra 'local': missing onnxruntime" in ran.output
    assert "problem  packages of the extra 'local': hibari-tts==0.2.1 is 0.0.1" in ran.output
    assert "pip install 'callengine[local]'" in ran.output
    assert ran.status == 1  # because of the wrong version


def test_requirements_are_those_of_the_package() -> None:
    groups = requirements()
    assert "trio" in {each.name for each in groups[""]}
    assert Requirement("moonshine-voice", (("==", "0.0.73"),)) in groups["local"]
    assert "callengine" not in {each.name for group in groups.values() for each in group}


@pytest.mark.parametrize(
    ("bounds", "version", "allowed"),
    [
        ((), "1", True),
        ((("==", "0.18.0"),), "0.18", True),
        ((("==", "0.18.0"),), "0.18.1", False),
        (((">=", "0.31"), ("<", "1")), "0.35.0", True),
        (((">=", "0.31"), ("<", "1")), "1.0", False),
        (((">=", "0.31"), ("<", "1")), "0.9", False),
        (((">=", "2"),), "2.0.0rc1", True),
    ],
)
def test_versions_are_compared_by_number(bounds: tuple[tuple[str, str], ...], version: str, allowed: bool) -> None:
    assert Requirement("x", bounds).allows(version) is allowed
