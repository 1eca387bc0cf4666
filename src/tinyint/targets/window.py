"""Windows of pools and convolutions that int8 kernels refuse or miscompute."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Window"]


class Window(StrEnum):
    """Properties of a window's attributes; of several, the first counts."""

    DILATED = "dilations"
    PADDING_COUNTED_UP = "ceil_mode with padding under count_include_pad"
    PADDING_COUNTED = "padding under count_include_pad"
    GAPS = "strides that leave places to no window, of a transposed convolution with a bias"
    COLUMN = "groups of one channel in and several out, with strides to a result of one column"
    OUTSIDE = "padding as wide as the kernel, of a convolution"
    ROUNDED_UP = "ceil_mode"  # if the windows do not fit, or may not, as a size is open
