"""Training of each task, in torch."""
