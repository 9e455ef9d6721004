"""``callengine serve`` as a process: options, signals, exit statuses."""

from __future__ import annotations

import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from served import STORY, calling, over, run, serving, speaks

from callengine.carriers.twilio.signature import sign
from callengine.journal import read_journal
from callengine.testing.words import Vocabulary, read_words


async def test_sigterm_lets_a_live_call_finish_and_ends_with_status_0(tmp_path: Path) -> None:
    # given a call that is going on
    async with serving(tmp_path, "--insecure") as served, httpx.AsyncClient(base_url=served.url) as client:
        async with calling(served) as leg:
            await speaks(leg)

            # when the server is told to end
            served.process.terminate()
            await served.says("draining")

            # then no new call is taken, and the live one goes on until the caller hangs up
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
            assert not leg.over.is_set()
            leg.hang_up()
            await over(leg)
        assert await served.ends() == 0
    assert any("ended by caller" in line for line in served.lines)


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, "--insecure") as served, calling(served) as leg:
        await speaks(leg)
        served.process.send_signal(signal.SIGINT)
        await served.says("draining")

        served.process.send_signal(signal.SIGINT)

        await over(leg)
        assert await served.ends() == 0
    assert any("ending at once" in line for line in served.lines)


async def test_drain_timeout_ends_live_calls_politely(tmp_path: Path) -> None:
    # given an engine whose own drain timeout is 30 s, and what it will have said
    words = Vocabulary()
    words.speak("Hello there.")
    words.speak("We close now.")
    async with serving(tmp_path, "--insecure", "--drain-timeout", "0.2") as served, calling(served) as leg:
        await speaks(leg)

        # when it drains
        served.process.terminate()
        await over(leg)

        # then the caller was told, before the call was ended
        assert read_words(words, leg.queue.played_audio(trio.current_time())).endswith("We close now.")
        assert await served.ends() == 0
    assert any("ended by drained" in line for line in served.lines)


async def test_the_journal_option_writes_every_call(tmp_path: Path) -> None:
    async with serving(tmp_path, "--insecure", "--journal", "books") as served:
        async with calling(served) as leg:
            await speaks(leg)
            leg.hang_up()
            await over(leg)
        served.process.terminate()
        assert await served.ends() == 0

    (journal,) = (tmp_path / "books").iterdir()
    records = read_journal(journal)
    assert [records[0].kind, records[-1].kind] == ["call.started", "call.ended"]


async def test_host_and_port_options_are_used(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]

    async with serving(tmp_path, "--host", "127.0.0.2", "--port", str(port)) as served:
        assert served.url == f"http://127.0.0.2:{port}"


async def test_a_public_url_lets_signatures_be_checked(tmp_path: Path) -> None:
    # given the account's token, and the public URL as an option
    token = {"TWILIO_AUTH_TOKEN": "secret-of-the-account"}
    async with serving(tmp_path, "--public-url", "https://voice.example.com", variables=token) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            unsigned = await client.post("/twilio/voice", data={"CallSid": "CA1", "From": "+15550100001"})

    # then an unsigned webhook is forged (without the URL it would be 503: nothing can be checked)
    assert unsigned.status_code == 403
    assert not any("secret-of-the-account" in line for line in served.lines)


def test_insecure_is_refused_beyond_loopback(tmp_path: Path) -> None:
    (tmp_path / "story.py").write_text(STORY)

    ran = run("serve", "story:engine", "--insecure", "--host", "0.0.0.0", cwd=tmp_path)

    assert ran.status == 1
    assert "loopback" in ran.errors or "0.0.0.0" in ran.errors
    assert "Traceback" not in ran.errors


def test_a_port_in_use_is_said_and_is_status_1(tmp_path: Path) -> None:
    (tmp_path / "story.py").write_text(STORY)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        ran = run("serve", "story:engine", "--port", port, cwd=tmp_path)

    assert ran.status == 1
    assert f"port {port}" in ran.errors
    assert "Traceback" not in ran.errors


def test_missing_packages_are_named_with_the_install_command(tmp_path: Path) -> None:
    # given an agent that needs the embedded speech parts, where their runtime is not installed
    (tmp_path / "app.py").write_text(
        "from callengine import Agent, Engine\nengine = Engine(Agent(greeting='Hello?'), port=0)\n"
    )
    blocked = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from callengine.cli.main import main; sys.exit(main(['serve', 'app:engine']))"
    )

    ran = run(cwd=tmp_path, code=blocked)

    assert ran.status == 1
    assert "pip install 'callengine[local]'" in ran.errors
    assert "Traceback" not in ran.errors


def test_progress_is_told_while_models_load(tmp_path: Path) -> None:
    # given an engine that says how far it is, and then cannot go on
    (tmp_path / "app.py").write_text(
        "from callengine import Agent, ConfigurationError, Engine\n"
        "class Slow(Engine):\n"
        "    async def serve(self, *, progress, task_status, **_):\n"
        "        progress('a model', 0.5)\n"
        "        raise ConfigurationError('the model is broken: get another')\n"
        "engine = Slow(Agent(greeting='Hello?'))\n"
    )

    ran = run("serve", "app:engine", cwd=tmp_path)

    assert ran.status == 1
    assert "loading 50% a model" in ran.errors
    assert "callengine: the model is broken: get another" in ran.errors


NGROK = """#!{python}
# A tunnel's own end: TLS in front, and a line that says where.
import http.server, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({certificate!r})
server.socket = context.wrap_socket(server.socket, server_side=True)
print('t=x lvl=info msg="started tunnel" name=x addr=x url=https://localhost:%d' % server.server_port, flush=True)
server.serve_forever()
"""


async def test_a_tunnel_is_opened_and_carriers_are_led_through_it(tmp_path: Path) -> None:
    certificate = localhost_certificate(tmp_path / "localhost.pem")
    program = tmp_path / "bin" / "ngrok"
    program.parent.mkdir()
    program.write_text(NGROK.format(python=sys.executable, certificate=str(certificate)))
    program.chmod(0o755)
    variables = {"PATH": str(program.parent), "SSL_CERT_FILE": str(certificate), "TWILIO_AUTH_TOKEN": "secret"}

    async with serving(tmp_path, "--tunnel", "ngrok", variables=variables) as served:
        line = await served.says("carriers reach this engine at https://localhost:")
        public = line.rpartition(" ")[2]
        await served.says(f"--to {public}")
        form = {"CallSid": "CA" + "0" * 32, "From": "+15005550001", "To": "+15005550002", "CallStatus": "ringing"}
        signature = {"x-twilio-signature": sign("secret", f"{public}/twilio/voice", form.items())}
        async with httpx.AsyncClient(base_url=served.url) as client:
            answer = await client.post("/twilio/voice", data=form, headers=signature)
        assert f'url="wss://{public.removeprefix("https://")}/twilio/media/' in answer.text
        assert not any("calls are refused" in line for line in served.lines)

        served.process.terminate()
        assert await served.ends() == 0


async def test_a_tunnel_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path, "--tunnel", "cloudflared", variables={"PATH": str(tmp_path)}) as served:
        await served.says("cloudflared is not installed")
        assert await served.ends() == 1


def localhost_certificate(path: Path) -> Path:
    """A key and a certificate of its own for this machine, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    unlocked = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unlocked)
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
