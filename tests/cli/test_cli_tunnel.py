"""Tunnels, with small programs in place of the real ones."""

from __future__ import annotations

import logging
import os
import stat
import sys

import httpx
import pytest
import trio

from callengine.cli import tunnel as module
from callengine.cli.tunnel import TunnelFailed, open_tunnel
from callengine.errors import ConfigurationError

CLOUDFLARED = """
print("2026-11-22T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...", file=sys.stderr)
print("2026-11-22T10:00:00Z INF POST https://api.trycloudflare.com/tunnel", file=sys.stderr)
print("2026-11-22T10:00:01Z INF |  https://Two-Words.trycloudflare.com  |".lower(), file=sys.stderr, flush=True)
"""
NGROK = """
print('t=2026-11-22T10:00:00+0000 lvl=info msg="open config file" url=https://elsewhere.test')
print('t=2026-11-22T10:00:01+0000 lvl=info msg="started tunnel" obj=tunnels name=command_line '
      'addr=http://127.0.0.1:8080 url=https://abcd.ngrok-free.app', flush=True)
"""
STAY = "time.sleep(60)\n"
URL = "https://two-words.trycloudflare.com"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a program on the PATH that is this Python code."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, code: str) -> None:
        program = tmp_path / name
        note = f"open({str(tmp_path / 'started')!r}, 'w').write(f'{{os.getpid()}} ' + ' '.join(sys.argv[1:]))"
        program.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{note}\n{code}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    put.started = lambda: (tmp_path / "started").read_text().split(" ", 1)
    return put


def answering(*statuses: int) -> tuple[httpx.AsyncClient, list[str]]:
    """A client that gives these answers, the last one for ever, and what it was asked."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        status = statuses[min(len(asked), len(statuses)) - 1]
        if not status:
            raise httpx.ConnectError("name not known yet")
        return httpx.Response(status)

    return httpx.AsyncClient(transport=httpx.MockTransport(handle)), asked


def is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "ASK_EVERY", 0.01)


@pytest.mark.parametrize(
    ("kind", "code", "url", "arguments"),
    [
        ("cloudflared", CLOUDFLARED, URL, "tunnel --no-autoupdate --url http://127.0.0.1:8080"),
        ("ngrok", NGROK, "https://abcd.ngrok-free.app", "http 127.0.0.1:8080 --log stdout --log-format logfmt"),
    ],
)
async def test_the_address_is_given_when_it_leads_to_the_engine(install, kind, code, url, arguments):
    install(kind, code + STAY)
    http, asked = answering(0, 530, 502, 200)
    async with open_tunnel(kind, 8080, http=http) as given:
        assert given == url
        assert asked == [f"{url}/healthz"] * 4
        pid, given_arguments = install.started()
        assert given_arguments == arguments
        assert is_running(pid)
    assert not is_running(pid)
    assert not http.is_closed


async def test_a_program_that_is_not_installed_is_named_with_where_to_get_it(install):
    with pytest.raises(ConfigurationError, match=r"cloudflared is not installed.*developers\.cloudflare\.com"):
        async with open_tunnel("cloudflared", 8080):
            pass
    with pytest.raises(ConfigurationError, match="choose one of cloudflared, ngrok"):
        async with open_tunnel("tunneller", 8080):
            pass


async def test_a_program_that_ends_early_has_its_last_words_told_without_its_token(install):
    install("ngrok", "print('ERROR: authentication failed')\nprint('ERROR: Your authtoken: 2abcSECRET')\nsys.exit(1)")
    with pytest.raises(TunnelFailed) as failed:
        async with open_tunnel("ngrok", 8080):
            pass
    assert "ngrok ended with status 1" in str(failed.value)
    assert "authentication failed" in str(failed.value)
    assert "SECRET" not in str(failed.value)


async def test_a_program_that_ends_after_its_address_was_not_up(install):
    install("cloudflared", CLOUDFLARED + "time.sleep(0.2)\nsys.exit(3)")
    http, _ = answering(530)
    with pytest.raises(TunnelFailed, match="ended with status 3"):
        async with open_tunnel("cloudflared", 8080, http=http):
            pass


async def test_an_address_that_is_not_named_in_time(install):
    install("cloudflared", "print('thinking', flush=True)\n" + STAY)
    with pytest.raises(TunnelFailed, match=r"no address within 0\.5 s; its last words:\n  thinking"):
        async with open_tunnel("cloudflared", 8080, url_timeout=0.5):
            pass
    assert not is_running(install.started()[0])


async def test_an_address_that_leads_nowhere(install):
    install("cloudflared", CLOUDFLARED + STAY)
    http, _ = answering(502)
    with pytest.raises(TunnelFailed, match=rf"{URL} did not lead to the engine within 0\.1 s \(status 502\)"):
        async with open_tunnel("cloudflared", 8080, answer_timeout=0.1, http=http):
            pass
    assert not is_running(install.started()[0])


async def test_its_output_is_read_for_ever(install, tmp_path):
    """Given a program that says more than a pipe holds, then it is never blocked."""
    done = tmp_path / "done"
    install("cloudflared", CLOUDFLARED + f"sys.stdout.write('x' * 999_999)\nopen({str(done)!r}, 'w')\n" + STAY)
    http, _ = answering(200)
    async with open_tunnel("cloudflared", 8080, http=http):
        with trio.fail_after(10):
            while not done.exists():
                await trio.sleep(0.01)


async def test_a_tunnel_that_breaks_down_later_is_an_error_in_the_log(install, caplog):
    install("cloudflared", CLOUDFLARED + "time.sleep(0.3)\nprint('ERR lost', flush=True)\nsys.exit(1)")
    http, _ = answering(200)
    async with open_tunnel("cloudflared", 8080, http=http):
        with trio.fail_after(10):
            while not caplog.records:
                await trio.sleep(0.01)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "broke down" in record.getMessage()
    assert "ERR lost" in record.getMessage()


async def test_a_program_that_does_not_end_is_killed(install, monkeypatch, caplog):
    monkeypatch.setattr(module, "STOP_TIMEOUT", 0.1)
    install("cloudflared", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CLOUDFLARED + STAY)
    http, _ = answering(200)
    with trio.fail_after(10):
        async with open_tunnel("cloudflared", 8080, http=http):
            pid = install.started()[0]
    assert not is_running(pid)
    assert not caplog.records


async def test_cancelled_it_ends_the_program(install):
    install("cloudflared", CLOUDFLARED + STAY)
    http, _ = answering(200)
    with trio.move_on_after(10) as scope:
        async with open_tunnel("cloudflared", 8080, http=http):
            scope.cancel()
            await trio.sleep_forever()
    assert not is_running(install.started()[0])


async def test_an_error_of_the_engine_comes_out_as_it_is(install):
    install("cloudflared", CLOUDFLARED + STAY)
    http, _ = answering(200)
    with pytest.raises(KeyError):
        async with open_tunnel("cloudflared", 8080, http=http):
            raise KeyError("mine")
