"""Models that take pixels: the declared preprocessing becomes a part of the graph."""

from tinyint.quantization.pixels.pixel_input import PixelInput

__all__ = ["PixelInput"]
