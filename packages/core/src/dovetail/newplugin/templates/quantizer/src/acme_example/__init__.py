"""The quantization method ``acme-example``, as a plugin of Dovetail."""
