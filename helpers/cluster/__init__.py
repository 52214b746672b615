"""The machines and processes of a run: Redis, the workers and what is known about them."""
