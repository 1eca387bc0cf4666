"""Which method fits a model, its data, and the time that there is."""
