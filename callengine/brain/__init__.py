"""What the agent says: agents, prompts, history, flows, and text made fit for speech."""
