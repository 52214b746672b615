"""Where weights, updates and predictions lie between tasks: bytes under a key, checked on read."""
