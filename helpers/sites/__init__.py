"""What a site's worker does for its own protection: its policy and its audit log."""
