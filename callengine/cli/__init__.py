"""The commands: serve, doctor, demo."""
