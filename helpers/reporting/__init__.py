"""A run as pages to read: plots and words from the run's files alone."""
