"""Sources of samples by the name of the user's data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyint.data.arrays import npy_source, npz_source
from tinyint.data.cityscapes import CLASSES, is_cityscapes, read_cityscapes
from tinyint.data.class_names import names_beside
from tinyint.data.coco import read_coco
from tinyint.data.datafile.paddle import paddle_source
from tinyint.data.datafile.source import is_data_file, open_data_file
from tinyint.data.declaration import Declaration
from tinyint.data.folder import read_folder
from tinyint.data.generator import is_function_spec, user_samples
from tinyint.data.image_input import (
    check_preprocessing,
    describe_assumption,
    image_input,
    infer_preprocessing,
)
from tinyint.data.images import ImageFile, ImageSource, is_image_name
from tinyint.data.iterable import IterableSource
from tinyint.data.listfile import find_list, read_list
from tinyint.data.preprocess import Preprocessing
from tinyint.data.sample import Source
from tinyint.data.text_input import require_text_inputs
from tinyint.data.text_preprocess import TextPreprocessing
from tinyint.data.texts import text_source
from tinyint.errors import DataError
from tinyint.runtimes.base import TensorSpec

__all__ = ["ACCEPTED", "named_source"]

ACCEPTED = (
    "a folder of class folders, a folder with a list file ('path label' lines), FOLDER:LIST, a list file (.txt), "
    "an image, FOLDER:instances.json or a .json file (COCO), a Cityscapes root ROOT:SPLIT, a table of texts (.tsv), "
    "an array file (.npy, .npz), a data file of `tinyint preprocess` (.bin), or a Python function "
    "(package.module:function)"
)


def named_source(
    spec: str, inputs: Sequence[TensorSpec], preprocessing: Declaration | None, *, labelled: bool = True
) -> Source:
    """Source of the data that `spec` names, in one of the `ACCEPTED` forms.

    Raises DataError.
    """
    opener = _Opener(inputs, preprocessing, labelled)
    path = Path(os.path.expanduser(spec)) if spec else Path("\0")
    folder, _, rest = spec.rpartition(":")
    if os.path.isdir(path):
        return opener.folder(path)
    if os.path.isfile(path):
        return opener.file(path)
    root = Path(os.path.expanduser(folder))
    if folder and rest and os.path.isdir(root):
        return opener.part(root, rest)
    if is_function_spec(spec):
        return IterableSource(name=spec, open=user_samples(spec), specs=inputs)
    raise DataError(f"the data {spec!r} {_why_absent(path)}; expected {ACCEPTED}")


def _why_absent(path: Path) -> str:
    try:
        os.stat(path)
    except PermissionError as error:
        return f"cannot be read ({error.strerror})"
    except (OSError, ValueError):
        return "do not exist"
    return "are neither a file nor a folder"


def paths_in(data: object) -> list[Path]:
    """Existing files and folders in a data spec: itself, and its parts."""
    if not isinstance(data, str | os.PathLike):
        return []
    spec = os.path.expanduser(os.fspath(data))
    folder, _, rest = spec.rpartition(":")
    candidates = [Path(spec), Path(rest), Path(folder, rest), Path(folder)] if folder else [Path(spec)]
    return [path for path in candidates if os.path.exists(path)]


@dataclass(frozen=True)
class _Opener:
    """Opener of data for a model with these inputs, by the form of the data."""

    inputs: Sequence[TensorSpec]
    preprocessing: Declaration | None
    labelled: bool

    def folder(self, path: Path) -> Source:
        if is_cityscapes(path):
            return self.cityscapes(path, "")
        if (list_file := find_list(path)) is not None:
            return self.images(str(list_file), read_list(list_file, path), classes=names_beside(path))
        folder = read_folder(path, labelled=self.labelled)
        return self.images(str(path), folder.files, folder.notices, folder.classes)

    def part(self, root: Path, rest: str) -> Source:
        """Source of FOLDER:REST."""
        if is_cityscapes(root):
            return self.cityscapes(root, rest)
        file = root / rest if os.path.isfile(root / rest) else Path(rest)
        if file.suffix.lower() == ".json":
            return self.coco(file, root)
        return self.images(str(file), read_list(file, root), classes=names_beside(root))

    def file(self, path: Path) -> Source:
        suffix = path.suffix.lower()
        if is_data_file(path):
            return self.data_file(path)
        if suffix == ".bin":
            return paddle_source(path, self.inputs, self.preprocessing)
        if suffix == ".npy":
            return npy_source(path, self.inputs)
        if suffix == ".npz":
            return npz_source(path, self.inputs)
        if suffix == ".txt":
            return self.images(str(path), read_list(path, path.parent), classes=names_beside(path.parent))
        if suffix == ".json":
            return self.coco(path, None)
        if suffix == ".tsv":
            return self.texts(path)
        if is_image_name(path.name):
            return self.images(str(path), [ImageFile(path, path.name)])
        raise DataError(f"{path} is no kind of data that is known by its name; expected {ACCEPTED}")

    def data_file(self, path: Path) -> Source:
        preprocessing = self.preprocessing
        if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
            raise DataError(_no_texts(str(path)))
        return open_data_file(path, self.inputs, preprocessing)

    def texts(self, path: Path) -> Source:
        if not isinstance(self.preprocessing, TextPreprocessing):
            require_text_inputs(self.inputs, str(path))
            raise DataError(
                f"{path} holds texts, which need a tokenizer: declare it in a preprocessing file, such as "
                "{tokenizer: vocab.txt, max_length: 128}"
            )
        return text_source(path, self.inputs, self.preprocessing)

    def coco(self, path: Path, root: Path | None) -> Source:
        coco = read_coco(path, root)
        return self.images(str(path), coco.files, coco.notices, coco.classes)

    def cityscapes(self, root: Path, split: str) -> Source:
        files = read_cityscapes(root, split)
        notices = [] if files[0].label else [f"there are no label images for {split} in {root}"]
        return self.images(f"{root}:{split}", files, notices, CLASSES)

    def images(
        self,
        name: str,
        files: Sequence[ImageFile],
        notices: Sequence[str] = (),
        classes: tuple[str, ...] | None = None,
    ) -> ImageSource:
        spec = image_input(self.inputs, name)
        preprocessing = self.preprocessing
        if preprocessing is None:
            preprocessing = infer_preprocessing(spec)
        if not isinstance(preprocessing, Preprocessing):
            raise DataError(_no_texts(name))
        check_preprocessing(preprocessing, spec)
        assumption = [describe_assumption(preprocessing)] if preprocessing.assumed else []
        return ImageSource(
            name=name,
            files=files,
            spec=spec,
            preprocessing=preprocessing,
            classes=classes,
            notices=[*notices, *assumption],
        )


def _no_texts(name: str) -> str:
    return (
        f"{name} holds images, but the preprocessing declares a tokenizer: give texts (.tsv), or declare how images "
        "become inputs (resize, scale, mean, std, …)"
    )
