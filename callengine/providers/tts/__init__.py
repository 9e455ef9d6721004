"""Synthesisers, one file a vendor."""
