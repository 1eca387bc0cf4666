"""Data file: preprocessed images in one file (docs/data-file.md)."""
