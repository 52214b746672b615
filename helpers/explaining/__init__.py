"""Where a model saw what it decided by, and which decisions are worth a look."""
