"""Everything about settings except their declarations, which are in `helpers.global_config`."""
