"""The verb `predict`: what a model says of images or other samples, as pictures and as one JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tinyint.api.predictions import Prediction, Seen, read_prediction
from tinyint.api.progress import Progress, silent
from tinyint.api.source import Model, resolve_preprocessing
from tinyint.api.subject import Subject, task_for
from tinyint.data import Boxes, Dataset, Declaration, open_data
from tinyint.data.check import check_sample
from tinyint.data.images import ImageFile, ImageSource, read_ahead
from tinyint.data.open import CheckedDataset, OnError, describe_skipped
from tinyint.errors import DataError, OutputError
from tinyint.evaluate.evaluation import decided
from tinyint.files import atomic_write
from tinyint.postprocess import Postprocessing, Suppression, postprocessing_of, suppression_of
from tinyint.report.report import to_json
from tinyint.task import TaskName

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PREDICTIONS", "SURE", "Predicted", "predict"]

PREDICTIONS = "predictions.json"
"""Beside the pictures."""

SURE = 0.3
"""The score from which a box is shown."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What was written: `predictions`, the JSON file; and how many samples it is of, how many pictures there are."""

    task: TaskName
    predictions: Path
    samples: int
    pictures: int
    notices: tuple[str, ...]


def predict(
    model: Model,
    data: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    samples: int | None = None,
    preprocessing: Declaration | str | Path | None = None,
    nms: Suppression | None = None,
    on_error: OnError = "stop",
    progress: Progress = silent,
) -> Predicted:
    """Runs the model on `data`, which needs no labels, and writes pictures and predictions.json to `output`.

    `output` is a directory, made if it is not there. Raises ModelError, DataError, DependencyError and OutputError.
    """
    subject = Subject.of(model, runtime, threads)
    declared = resolve_preprocessing(preprocessing, subject.facts)
    dataset = open_data(data, subject.session.inputs, declared, limit=samples, on_error=on_error)
    info, notice = task_for(task, subject.facts, subject.session, dataset, labelled=False)
    present = postprocessing_of(subject.facts)
    settings = nms or Suppression(score_threshold=SURE)
    if nms is not None:
        _check_suppression(settings, info.task, present, suppression_of(subject.facts))
    session = decided(subject.session, info, present, suppression=settings, threads=threads)
    album = _Album(Path(output), Path(data))
    skipped: list[str] = []
    count = 0
    for seen in _seen(dataset, subject, on_error, skipped):
        outputs = session.run_transient(seen.sample.inputs)
        album.add(seen.sample.name, read_prediction(seen, outputs, info, present, settings.score_threshold))
        count += 1
        progress("predict", count, dataset.len_hint)
    notices = (notice, *dataset.notices, describe_skipped(skipped) if skipped else "")
    return Predicted(
        task=info.task,
        predictions=album.close(),
        samples=count,
        pictures=album.pictures,
        notices=tuple(filter(None, notices)),
    )


def _check_suppression(
    settings: Suppression, task: TaskName, present: Postprocessing | None, built_in: Suppression | None
) -> None:
    if task != "detection":
        raise DataError(f"score, IoU and number of boxes are for detection, but the model is for {task}")
    others = (settings.iou_threshold, settings.max_detections)
    if present == "detections" and others != (Suppression.iou_threshold, Suppression.max_detections):
        raise DataError(
            "the model suppresses overlapping boxes itself (it was exported with --nms), so that IoU and number of "
            "boxes are settled; leave out --iou-threshold and --max-detections, or export it anew"
        )
    if built_in is not None and settings.score_threshold < built_in.score_threshold:
        raise DataError(
            f"the model leaves out boxes of scores up to {built_in.score_threshold:g} itself, and a threshold of "
            f"{settings.score_threshold:g} does not bring them back; export it anew with a lower --score-threshold"
        )


def _seen(dataset: Dataset, subject: Subject, on_error: OnError, skipped: list[str]) -> Iterator[Seen]:
    """The samples, with their images where they are image files; of those that cannot be read, the reason."""
    source = dataset.source if isinstance(dataset, CheckedDataset) else None
    if not isinstance(source, ImageSource):
        for i, sample in enumerate(dataset, 1):
            yield Seen(sample=sample, image_id=i)
        return
    assert isinstance(dataset, CheckedDataset)
    files = source.files[dataset.start : dataset.stop]
    ids = _image_ids(files)

    def attempt(item: tuple[ImageFile, int]) -> Seen | DataError:
        file, image_id = item
        try:
            picture = source.picture(file)
            placed = source.place(file, picture)
            sample = check_sample(source.finish(file, placed), subject.session.inputs, lambda _: None)
            view = placed.image if source.preprocessing.crop else picture.image
            return Seen(sample=sample, image_id=image_id, image=view)
        except DataError as error:
            return error

    found = False
    for item in read_ahead(attempt, list(zip(files, ids, strict=True))):
        if isinstance(item, Seen):
            found = True
            yield item
        elif on_error == "stop":
            raise item
        else:
            skipped.append(str(item))
    if not found:
        raise DataError(f"{source.name} holds no image that can be read: {describe_skipped(skipped)}")


def _image_ids(files: Sequence[ImageFile]) -> list[int]:
    """Those of the annotation file; else the numbers that the files are called after, as COCO's are; else 1, 2, …"""
    known = [file.label.image_id for file in files if isinstance(file.label, Boxes)]
    if len(known) == len(files):
        return known
    stems = [PurePath(file.name).stem for file in files]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
    return numbers if len(set(numbers)) == len(files) else list(range(1, len(files) + 1))


class _Album:
    """Writes pictures and masks as they come, and at the end the JSON file."""

    def __init__(self, directory: Path, data: Path) -> None:
        self.directory = directory
        self.pictures = 0
        self._entries: list[dict[str, object]] = []
        self._taken: set[PurePath] = set()
        read = data if data.is_dir() else data.parent
        if directory.exists() and read.exists() and directory.samefile(read):
            raise OutputError(
                f"cannot write to '{directory}': the samples are read from it; choose another directory"
            )
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the directory '{directory}': {error.strerror}; choose another"
            ) from None

    def add(self, name: str, prediction: Prediction) -> None:
        place = self._place(name)
        files = {}
        if prediction.picture is not None:
            files["picture"] = self._write(place.with_name(place.name + ".png"), prediction.picture)
            self.pictures += 1
        if prediction.mask is not None:
            files["mask"] = self._write(place.with_name(place.name + ".mask.png"), prediction.mask)
        self._entries += [entry | files for entry in prediction.entries]

    def close(self) -> Path:
        path = self.directory / PREDICTIONS
        with atomic_write(path) as temporary:
            temporary.write_text(to_json(self._entries) + "\n", encoding="utf-8")
        return path

    def _place(self, name: str) -> PurePath:
        """The sample's name without its ending, within the directory; with it where that is taken already."""
        parts = [part for part in PurePath(name).parts if part not in ("..", PurePath(name).anchor)]
        place = PurePath(*parts)
        short = place.with_suffix("")
        chosen = place if short in self._taken else short
        self._taken.add(chosen)
        return chosen

    def _write(self, place: PurePath, image: Image.Image) -> str:
        path = self.directory / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the directory '{path.parent}': {error.strerror}") from None
        with atomic_write(path) as temporary:
            image.save(temporary, "PNG")
        return place.as_posix()
