"""Differential privacy: what noise and sampling of a training guarantee, and what has been spent."""
