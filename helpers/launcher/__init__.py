"""Starts Redis and workers on this machine; what `run.py up`, `demo` and `train` need."""
