"""Whether noise suppression helps what listens, on recorded speech: see docs/turn_taking.md."""
