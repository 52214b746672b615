"""Explanations: Grad-CAM heatmaps and the selection of the cases to show."""
