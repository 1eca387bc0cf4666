"""Int8 kernels of runtimes, to the bit, as steps of a module."""
