"""Flows that ship: bookings for a restaurant, and an answering service for whoever has no other flow."""

from callengine.brain.flows.bookings import House, bookings
from callengine.brain.flows.message import message_flow

__all__ = ["House", "bookings", "message_flow"]
