"""The user's data as re-iterable, lazily read, checked samples. Start at `open_data`."""

from tinyint.data.inputs import input_specs
from tinyint.data.open import open_data
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Dataset, Sample, content_key, stack

__all__ = ["Dataset", "Preprocessing", "Sample", "content_key", "input_specs", "open_data", "stack"]
