"""Sites: clients whose images stay on their own machines; NumPy only."""
