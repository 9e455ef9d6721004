"""Pure decisions: whose turn it is, when to stop, what was heard. No await, no clock, no I/O."""
