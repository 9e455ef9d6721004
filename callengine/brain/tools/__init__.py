"""Tools for the language model: typed functions that it may call."""
