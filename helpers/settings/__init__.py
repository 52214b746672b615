"""Types of settings, rules between them, loading, the command line and the docs page."""
