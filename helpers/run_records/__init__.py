"""Records of a run on disk: CSV files, weights, models, and the state a resume starts from."""
