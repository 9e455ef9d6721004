"""What the engine's own part of speaking with vendors costs: adapters over the loopback, against the bare bytes."""
