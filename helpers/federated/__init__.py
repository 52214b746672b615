"""The federated algorithms: weights, messages, averaging, the round loop. NumPy alone."""
