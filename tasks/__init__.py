"""The Celery tasks: fetch by key, call one function, store, answer in a few numbers."""
