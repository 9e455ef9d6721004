"""What the carriers' wire codecs cost, and what damaged messages do to them: ``python -m benchmarks.wire``."""
