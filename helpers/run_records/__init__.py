"""What a run leaves on disk: CSV files, weights, models, and the state a resume starts from."""
