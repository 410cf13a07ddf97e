"""What an attention layer does for every pair: the reference, and compiled kernels."""
