"""AWQ (arXiv 2306.00978), in the layouts of AutoAWQ."""
