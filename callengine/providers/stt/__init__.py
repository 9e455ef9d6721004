"""Recognisers, one file a vendor."""
