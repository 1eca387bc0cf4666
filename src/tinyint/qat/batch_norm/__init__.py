"""Batch norms in training, beside the convolutions that take them up."""
