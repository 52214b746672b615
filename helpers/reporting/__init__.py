"""Report, model card and comparison page, made from a run's files alone."""
