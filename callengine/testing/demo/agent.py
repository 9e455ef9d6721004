"""Who answers the demo call: a restaurant's booking line, with nothing but what the ``local`` extra brings."""

from callengine import Agent, Engine, JournalSettings
from callengine.brain.flows import bookings

agent = Agent(
    greeting="Chez Trio, good evening! How can I help?",
    flow=bookings(),
)

engine = Engine(agent, journal=JournalSettings(audio=True), interim=True)
