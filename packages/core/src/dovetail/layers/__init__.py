"""Building blocks shared by the architectures.

They take numbers and tensors, never a config.
"""
