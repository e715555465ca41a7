"""GPTQ (arXiv 2210.17323), in the format of AutoGPTQ and GPTQModel."""
