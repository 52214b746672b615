"""The commands of run.py that look at finished runs, one a module."""
