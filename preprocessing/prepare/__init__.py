"""From image files to NumPy splits: sources, leak audit, splitting, writing."""
