"""Redis and workers of this machine, for `run.py up`, `demo` and `train` and for the library."""
