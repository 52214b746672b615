"""The commands of run.py. Each has its own module with `main(arguments)`, which returns the exit status."""
