"""A stranger's plugin: every kind of thing that one can add to Dovetail, as small as possible."""
