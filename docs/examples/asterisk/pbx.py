"""An agent behind Asterisk, without any cloud. Run it with `callengine serve pbx:engine`."""

from callengine import Agent, Engine
from callengine.carriers.audiosocket import AudioSocket

agent = Agent(
    prompt="You are the night porter of Hotel Trio. Be brief.",
    greeting="Hotel Trio, good evening!",
)
engine = Engine(agent, carriers=[AudioSocket(port=9092)])
