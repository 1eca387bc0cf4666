"""Models that take pixels: the declared preprocessing becomes a part of the graph."""

from tinyint.quantization.pixels.pixel_input import PixelInput
from tinyint.quantization.pixels.session import PixelSession

__all__ = ["PixelInput", "PixelSession"]
