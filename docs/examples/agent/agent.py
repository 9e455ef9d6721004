"""An agent with a prompt. Run it with `callengine serve agent:engine`."""

from callengine import Agent, Engine

agent = Agent(
    prompt="You take bookings for Chez Trio. Be brief.",
    greeting="Chez Trio, good evening! How can I help?",
)
engine = Engine(agent)
