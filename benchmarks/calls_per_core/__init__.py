"""How many calls one core carries: simulated Twilio calls in real time, from another process, against the engine."""
