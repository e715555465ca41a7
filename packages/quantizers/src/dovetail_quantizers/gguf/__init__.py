"""Weights as llama.cpp stores them."""
