"""One call, one nursery: reader, VAD, STT, conductor, replies, sender."""
