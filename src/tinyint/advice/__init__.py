"""Advice on the method of quantization for a model, its data, and the time."""
