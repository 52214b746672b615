"""Benchmarks of speed, memory and traffic against other programs; see README.md."""
