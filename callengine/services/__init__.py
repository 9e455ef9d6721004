"""The arithmetic that all calls share: one place each, joined by a call with a context manager."""
