"""tinyint: 8-bit models, proved on the runtime that they are for."""

__version__ = "0.1.0"
