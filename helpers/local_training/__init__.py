"""One client's training in Keras, and what its model predicts."""
