"""Secure aggregation (Bonawitz et al. 2017): the server learns the sum of updates, and no single one."""
