"""The task ``acme-example``, as a plugin of Dovetail."""
