"""From labels and scores to metrics."""
