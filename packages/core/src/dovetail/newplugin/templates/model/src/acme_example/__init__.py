"""The AcmeExample language model, as a plugin of Dovetail."""
