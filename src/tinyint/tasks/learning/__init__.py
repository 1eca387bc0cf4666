"""How each task is learned, in torch."""
