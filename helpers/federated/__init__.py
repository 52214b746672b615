"""Federated algorithms: weights, messages, averaging, strategies, the round loop. NumPy only."""
