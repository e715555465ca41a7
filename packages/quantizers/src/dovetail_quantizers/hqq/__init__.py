"""HQQ, half-quadratic quantization (mobiusml.github.io/hqq_blog), in the format of its package."""
