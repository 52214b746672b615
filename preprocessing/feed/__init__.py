"""From NumPy splits to training batches: prepared data, partitions, augmentation."""
