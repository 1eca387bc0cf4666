"""Diagnosis of an int8 model: where its error arises, and why."""
