"""Calls that go out, and what a call asks of its carrier."""
