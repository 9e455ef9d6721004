"""The parts by themselves, each against its floor or a peer in the same run."""
