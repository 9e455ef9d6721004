"""The demo call: who answers it, who calls, over what line, and what must have been said in the end."""
