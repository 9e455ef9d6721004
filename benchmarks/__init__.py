"""What the engine costs: measurements as ratios to a floor in the same run. Never part of a test.

``python -m benchmarks.calls_per_core`` drives whole calls, ``python -m benchmarks.micro`` the parts by themselves,
``python -m benchmarks.providers`` the adapters of vendors, and calls that use them.
docs/performance.md says what each figure means.
"""
