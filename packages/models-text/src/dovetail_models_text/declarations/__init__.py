"""What this package declares: one line or a few for each family, task and layout."""
