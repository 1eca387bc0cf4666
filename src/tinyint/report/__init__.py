"""Presentation of the report: in the terminal, and as a web page."""
