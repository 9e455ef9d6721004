"""Which call a carrier's facts and questions are about, and what a call asks of its carrier."""
