"""What the project is measured against, side by side; see benchmarks/README.md."""
