"""Reference networks, synthetic data and the demo."""
