"""From labels and scores to metrics, to a threshold, and how far both are to be believed."""
