"""That an engine keeps nothing of calls that are over, however many there were."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import trio

from callengine.testing.clouds import Answers, Busy

PERSON, BUSY = "+15005550101", "+15005550102"
ROUNDS = 84
"""With three calls a round and four carriers, about a thousand."""


@pytest.mark.parametrize("carrier", ["twilio", "signalwire", "telnyx", "plivo"])
async def test_after_a_thousand_short_calls_nothing_of_them_is_left(call_lab, carrier):
    async def story(call):
        await call.hang_up()

    kept: list[weakref.ref[object]] = []
    async with call_lab.network(story, carrier=carrier, dials_per_second=math.inf) as network:
        engine = network.engine
        engine.on_call_start(lambda call: kept.append(weakref.ref(call)))
        network.phone(PERSON, Answers(after=0.0))
        network.phone(BUSY, Busy(after=0.0))

        # given calls that came in, calls that went out, and calls that nobody took
        for _ in range(ROUNDS):
            await network.rings(caller=PERSON).is_hung_up_on()
            for number in (PERSON, BUSY):
                call = await engine.dial(number)
                kept.append(weakref.ref(call))
                await call.wait()
        del call
        assert len(kept) == 4 * ROUNDS

        # when the last of them is over, its token too, and the lab has forgotten them
        await trio.sleep(120)
        assert engine._running.tokens.unspent() == 0
        call_lab.calls.clear()
        call_lab.outcomes.clear()
        gc.collect()

        # then there is no conversation and no outgoing call of them any more
        assert [type(reference()) for reference in kept if reference() is not None] == []
        assert engine.calls == ()
