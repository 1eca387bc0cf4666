"""Search for the fastest int8 model within a budget of accuracy."""
