"""The report in words: in the terminal, and as a page."""
