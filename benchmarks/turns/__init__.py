"""How politely the engine takes turns: whole calls of recorded speech, in virtual time. See docs/turn_taking.md."""
