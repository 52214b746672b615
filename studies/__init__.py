"""Studies of federated learning, built from many runs; see README.md."""
