"""The verb `preprocess`: image files into one data file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyint.api.given_model import GivenModel, Model
from tinyint.api.resizing import resizes_images
from tinyint.data import Data, Preprocessing, Samples, input_specs
from tinyint.data.datafile.layout import Shape, Values
from tinyint.data.datafile.write import write_data_file
from tinyint.data.image_input import image_input, infer_preprocessing
from tinyint.data.images import ImageSource
from tinyint.data.named import named_source
from tinyint.data.open import describe_skipped
from tinyint.errors import DataError
from tinyint.files import require_writable
from tinyint.runtimes.base import TensorSpec
from tinyint.runtimes.host import host
from tinyint.runtimes.run import Run

__all__ = ["Preprocessed", "preprocess"]

_COLOUR = 3  # channels


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """Data file `output`; `resumed` samples were there from an interrupted call."""

    output: Path
    samples: int
    shape: Shape
    classes: tuple[str, ...] | None
    preprocessing: Preprocessing
    file_bytes: int
    resumed: int
    skipped: tuple[str, ...]
    notices: tuple[str, ...]


def preprocess(
    data: Data,
    output: str | Path,
    *,
    size: tuple[int, int] | None = None,
    model: Model | None = None,
    values: Values = "uint8",
    workers: int | None = None,
    run: Run | None = None,
) -> Preprocessed:
    """Writes the images of `data`, preprocessed, with names and labels to one data file.

    What is done to them is the preprocessing of `Samples`, else what the metadata of `model` say, else resizing to
    `size` (height, width) or to the model's input; with a declaration, `size` replaces its own. As "uint8", pixels are
    stored before scale, mean and std, which are applied when they are read, to the same bits as from the images.
    `workers` are threads, all cores by default. A call that was interrupted goes on where it stopped.
    Raises DataError, ModelError and OutputError, also where a file is at `output` that is no data file.
    """
    run, wanted, place = run or Run(), Samples.of(data), Path(output)
    run.require_only("preprocess")
    origin = None if model is None else GivenModel.of(model)
    require_writable(place, keep=(*wanted.paths, *(() if origin is None else origin.files)))
    source, notices = _chosen(_source(wanted, origin, size), wanted)
    written = write_data_file(
        source,
        place,
        values,
        on_error=wanted.on_error,
        workers=workers or host().cores,
        progress=run.progress,
    )
    if written.skipped:
        notices.append(describe_skipped(written.skipped))
    return Preprocessed(
        output=place,
        samples=written.samples,
        shape=written.shape,
        classes=source.classes,
        preprocessing=source.preprocessing,
        file_bytes=written.file_bytes,
        resumed=written.resumed,
        skipped=written.skipped,
        notices=tuple(notices),
    )


def _chosen(source: ImageSource, samples: Samples) -> tuple[ImageSource, list[str]]:
    """Source of the images after those to skip, up to the limit, and notices. Raises DataError."""
    limit = None if samples.limit in (None, "all") else int(samples.limit or 0)
    if samples.skip < 0 or (limit is not None and limit < 1):
        raise DataError(f"expected limit >= 1 and skip >= 0, got limit={limit}, skip={samples.skip}")
    files, notices = source.files[samples.skip :], list(source.notices)
    if not files:
        raise DataError(
            f"{source.name} holds {len(source.files)} images; none is left after the first {samples.skip}"
        )
    if limit is not None and len(files) < limit:
        notices.append(f"{limit} samples were asked for; {source.name} has {len(files)}")
    return replace(source, files=files[:limit]), notices


def _source(samples: Samples, model: GivenModel | None, size: tuple[int, int] | None) -> ImageSource:
    """Images of a declared size. Raises DataError."""
    if not isinstance(samples.data, str | Path):
        raise DataError("the data are no files; only image files need a data file")
    name = str(samples.data)
    spec = None if model is None else image_input(input_specs(model.model), name)
    declared = samples.declared({} if model is None else model.model.metadata_props)
    if declared is None:
        declared = _assumed(spec, size)
    if not isinstance(declared, Preprocessing):
        raise DataError(
            "the preprocessing declares a tokenizer, but a data file holds images: texts are read as they are"
        )
    if size is not None:
        declared = declared.at_size(*size)
    if model is not None and resizes_images(model.model.metadata_props):
        raise DataError(
            f"{model.name} resizes images itself, and a data file holds resized ones: give it the images"
        )
    if declared.size() is None:
        raise DataError(
            "the preprocessing makes no images of one size, which a data file needs: give --size, or declare a crop"
        )
    if spec is None:
        spec = TensorSpec(name="image", dtype=np.dtype(np.float32), shape=(None, *declared.axes()))
    single = replace(spec, shape=(None, *spec.shape[-3:]))
    source = named_source(name, [single], declared)
    if not isinstance(source, ImageSource):
        raise DataError(f"{source.name} holds no image files; only these need a data file")
    return source


def _assumed(spec: TensorSpec | None, size: tuple[int, int] | None) -> Preprocessing:
    """Declaration where there is none: as for images that a model reads."""
    if spec is None and size is None:
        raise DataError(
            "nothing says what becomes of the images: give --preprocessing FILE, --model MODEL or --size"
        )
    if spec is None:
        spec = TensorSpec(name="image", dtype=np.dtype(np.float32), shape=(None, _COLOUR, None, None))
    return infer_preprocessing(spec)
