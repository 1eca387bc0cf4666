"""Arithmetic of quantization: codes, formats, and statistics of tensors."""
