"""What a simulated vendor does in a connection beside reading it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from callengine.testing.vendors.base import VendorClosed


async def beside(nursery: trio.Nursery, work: Callable[[], Awaitable[None]]) -> None:
    """Do this; where the connection turns out to be over, everything else in the nursery ends too."""
    try:
        await work()
    except VendorClosed:
        nursery.cancel_scope.cancel()
