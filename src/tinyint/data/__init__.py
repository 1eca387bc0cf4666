"""User's data as samples: read lazily, checked, and re-iterable. Start at `open_data`."""

from tinyint.data.declaration import Declaration
from tinyint.data.declared import (
    load_preprocessing,
    parse_preprocessing,
    resolve_preprocessing,
    saved_preprocessing,
)
from tinyint.data.inputs import input_specs
from tinyint.data.labels import Boxes, Label, LabelKind
from tinyint.data.open import OnError, open_data
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Dataset, Sample, content_key, stack
from tinyint.data.samples import Data, HowMany, Samples
from tinyint.data.text_preprocess import TextPreprocessing

__all__ = [
    "Boxes",
    "Data",
    "Dataset",
    "Declaration",
    "HowMany",
    "Label",
    "LabelKind",
    "OnError",
    "Preprocessing",
    "Sample",
    "Samples",
    "TextPreprocessing",
    "content_key",
    "input_specs",
    "load_preprocessing",
    "open_data",
    "parse_preprocessing",
    "resolve_preprocessing",
    "saved_preprocessing",
    "stack",
]
