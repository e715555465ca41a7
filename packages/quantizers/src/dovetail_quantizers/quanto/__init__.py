"""Quanto: linear quantization of weights and activations, with optimum-quanto's tensors."""
