"""The port that Asterisk connects to: who may, and what becomes of a connection."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeAlias

import attrs
import trio

from callengine.carriers.audiosocket.media_socket import AudioSocketMediaSocket
from callengine.cleanup import single
from callengine.errors import ConfigurationError, SocketClosed
from callengine.ports import MediaSocket
from callengine.telephony import IncomingCall

Take: TypeAlias = Callable[[IncomingCall, MediaSocket], Awaitable[object]]
"""Runs a whole call on this socket. A call that is not wanted is refused by returning: the socket is closed then, which
hangs up."""

_SEND_BUFFER = 8192
"""Bytes that the kernel may hold for a peer (Linux takes twice as much, its own overhead included): about a dozen
frames. The default would hide a peer that has stopped reading for minutes."""
_UNACKNOWLEDGED = 10_000
"""Milliseconds that the other machine may leave our bytes without an answer (TCP_USER_TIMEOUT, RFC 5482)."""
_IDLE, _PROBE_EVERY, _PROBES = 15, 5, 3
"""Seconds of silence after which it is asked whether it is still there, how often, and how many times."""

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Door:
    """Where Asterisk is waited for, and what is let in. See `AudioSocket` for the settings."""

    host: str
    port: int
    known: Callable[[str], bool] | None
    max_connections: int
    max_unnamed: int
    opening_timeout: float

    async def serve(
        self, take: Take, *, task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Serve connections until cancelled; ``task_status`` gets the addresses and ports that it listens on.

        Errors: `ConfigurationError` where the port cannot be had, or anybody could reach it. A connection's own errors
        are logged; the others never notice.
        """
        try:
            listeners = await trio.open_tcp_listeners(self.port, host=self.host)
        except OSError as error:
            raise ConfigurationError(
                f"cannot wait for Asterisk on {self.host}, port {self.port}: {error}; free the port, or choose another"
            ) from error
        try:
            addresses = [listener.socket.getsockname()[:2] for listener in listeners]
            for address, _ in addresses:
                check_exposure(address, self.known is not None)
            guests = _Guests(self, take)
            async with trio.open_nursery() as nursery:
                await nursery.start(trio.serve_listeners, guests.serve, listeners)
                task_status.started(addresses)
        except BaseExceptionGroup as group:
            raise single(group) from None
        finally:
            for listener in listeners:
                listener.socket.close()
        raise AssertionError("listeners are served until cancelled")


def check_exposure(address: str, known: bool) -> None:
    """Raises `ConfigurationError` where strangers could reach this address, and nothing says whose calls are known."""
    if known:
        return
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_unspecified or not parsed.is_private:
        raise ConfigurationError(
            f"AudioSocket has no passwords, so whoever reaches {address} could place calls: use host='127.0.0.1' or an "
            "address of a private network, or say with known=... which UUIDs are calls of yours"
        )


class _Guests:
    """The connections that there are."""

    def __init__(self, door: Door, take: Take) -> None:
        self._door = door
        self._take = take
        self._connections = 0
        self._unnamed: Counter[str] = Counter()
        """Connections of each address that have not said yet whose they are."""
        self._live: set[str] = set()
        """The UUIDs of the calls that are going on."""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve a connection from its first byte to its last. Raises nothing but what ends the program."""
        try:
            try:
                address = stream.socket.getpeername()[0]
                _tune(stream)
            except OSError:  # gone before it began
                return
            if self._connections >= self._door.max_connections or self._unnamed[address] >= self._door.max_unnamed:
                log.warning("a connection to AudioSocket is refused: there are too many")
                return
            await self._converse(AudioSocketMediaSocket(stream), address)
        except* Exception as group:
            log.error("an AudioSocket connection failed", exc_info=group)

    async def _converse(self, media: AudioSocketMediaSocket, address: str) -> None:
        self._connections += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(media.run)
                name = await self._name(media, address)
                if name is not None:
                    with self._going_on(name):
                        await self._take(IncomingCall(name, "", ""), media)
                await media.aclose()
                nursery.cancel_scope.cancel()
        finally:
            self._connections -= 1
            media.close_nowait()

    async def _name(self, media: AudioSocketMediaSocket, address: str) -> str | None:
        """Whose call it is; None where that is not said in time, or it is none of ours."""
        self._unnamed[address] += 1
        try:
            with trio.fail_after(self._door.opening_timeout):
                name = await media.open()
        except (SocketClosed, trio.TooSlowError) as error:
            log.warning("an AudioSocket connection is refused: %s", error if str(error) else "it says nothing")
            return None
        finally:
            self._unnamed[address] -= 1
            if not self._unnamed[address]:
                del self._unnamed[address]
        if name in self._live or (self._door.known is not None and not self._door.known(name)):
            log.warning(
                "an AudioSocket connection is refused: its UUID is %s", "in use" if name in self._live else "not known"
            )
            return None
        return name

    @contextmanager
    def _going_on(self, name: str) -> Iterator[None]:
        self._live.add(name)
        try:
            yield
        finally:
            self._live.remove(name)


def _tune(stream: trio.SocketStream) -> None:
    """Notice a peer that is gone. Frames leave at once anyway: Trio has switched Nagle's algorithm off."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED),
        ("TCP_KEEPIDLE", _IDLE),
        ("TCP_KEEPINTVL", _PROBE_EVERY),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, option):  # not on every system
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
