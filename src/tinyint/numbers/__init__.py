"""Numbers in 8 bits: codes, formats, and statistics of tensors."""
