"""SAM: masks of what points, boxes or masks point at."""
