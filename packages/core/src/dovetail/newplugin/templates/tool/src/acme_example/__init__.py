"""The tool ``acme_example``, as a plugin of Dovetail."""
