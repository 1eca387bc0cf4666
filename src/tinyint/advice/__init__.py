"""Advice on the method for a model, its data, and the time."""
