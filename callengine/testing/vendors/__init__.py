"""Simulated vendors: each speaks its wire protocol over any stream, strictly, and goes wrong as a test wants.

They serve the product's tests, and whoever wants to try an agent without keys.
"""

from callengine.testing.vendors.base import Answer, Request, Vendor, VendorClosed, WebSocket
from callengine.testing.vendors.network import in_memory, on_loopback

__all__ = ["Answer", "Request", "Vendor", "VendorClosed", "WebSocket", "in_memory", "on_loopback"]
