"""Preprocessing: image files to NumPy splits (prepare), and splits to training batches (feed)."""
