"""Live monitoring of a run: observers for terminal, report and TensorBoard, and Ctrl-C."""
