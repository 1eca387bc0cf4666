"""Fake quantizers of activations and weights, and their ranges in training."""
