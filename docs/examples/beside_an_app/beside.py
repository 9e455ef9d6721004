"""The engine beside an application of your own, on one port. Run it with `callengine serve beside:engine`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from callengine import Agent, Engine, Outcome

calls: list[str] = []


async def recent(request: Request) -> JSONResponse:
    """How the last calls went."""
    del request
    return JSONResponse(calls[-20:])


agent = Agent(prompt="You answer the phone of a bakery. Be brief.", greeting="The bakery, hello!")
engine = Engine(agent, app=Starlette(routes=[Route("/calls", recent)]))


@engine.on_call_end
def keep(outcome: Outcome) -> None:
    """Told of every call when it is over."""
    calls.append(f"{outcome.duration:.0f} s, ended by {outcome.ended_by}: {outcome.reason}")
