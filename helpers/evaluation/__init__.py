"""Evaluation: metrics from labels and scores, confidence intervals and decision thresholds."""
