"""One public port: media upgrades, carriers' webhooks, health, and the user's own ASGI application."""

from callengine.server.app import create_app
from callengine.server.front_door import serve_front_door
from callengine.server.host import Host, Offer, Told
from callengine.server.tokens import TokenStore

__all__ = ["Host", "Offer", "TokenStore", "Told", "create_app", "serve_front_door"]
