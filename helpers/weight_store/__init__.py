"""Storage of weights, updates and predictions between tasks: bytes under a key, verified when read."""
