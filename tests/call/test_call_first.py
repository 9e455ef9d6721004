"""The first call: a caller who interrupts, in virtual time."""

from callengine import Agent

AGENT = Agent(prompt="You take bookings for Chez Trio. Be brief.", greeting="Chez Trio, good evening! How can I help?")


async def test_caller_can_interrupt(call_lab):
    call_lab.llm.replies("We have a table for two at eight.", "Of course, a table for four.")
    async with call_lab.dial(AGENT) as caller:
        await caller.hears("How can I help?")
        await caller.says("A table for two, please.")
        await caller.interrupts("Actually, for four.", after=0.8)
        await caller.hears("four")
    assert "four" in call_lab.call.outcome.turns[-1].heard
    call_lab.assert_nothing_left()
