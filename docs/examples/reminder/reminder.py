"""A reminder call as a story: no model at all. Run it with `callengine serve reminder:engine`."""

from callengine import Call, Engine


async def reminder(call: Call) -> None:
    """Ask whether the guest still comes."""
    heard = await call.say("Hello, this is Chez Trio. Will you still come at eight tonight?")
    answer = await call.listen(timeout=8)
    if heard.complete and answer is not None and answer.text.lower().startswith("yes"):
        await call.say("Wonderful, see you then.")
    await call.hang_up()


engine = Engine(reminder)
