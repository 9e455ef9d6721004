"""Telephone carriers: one folder each, with its wire protocol, its webhooks and how it proves who it is."""
