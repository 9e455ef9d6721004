"""What is made of a call's journal: its turns, recording, transcript, latency table and timeline."""
