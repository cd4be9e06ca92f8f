"""Benchmarks, one command each: `python -m benchmarks.NAME`. Each writes its section of RESULTS.md."""
