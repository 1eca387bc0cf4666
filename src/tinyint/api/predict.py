"""The verb `predict`: predictions on images or other samples, as pictures and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from tinyint.api.album import PREDICTIONS, album
from tinyint.api.given_model import Model
from tinyint.api.subject import Subject, task_for
from tinyint.data import Boxes, Data, Dataset, Samples
from tinyint.data.check import check_sample
from tinyint.data.datafile.source import DataFileSource
from tinyint.data.images import ImageFile, ImageSource, read_ahead
from tinyint.data.open import CheckedDataset, OnError, describe_skipped
from tinyint.errors import DataError
from tinyint.runtimes.run import Run
from tinyint.tasks import Task, postprocessing_of
from tinyint.tasks.prediction import Seen
from tinyint.tasks.registry import tasks_with
from tinyint.tasks.score import outputs_for
from tinyint.tasks.tails import Suppression, suppression_of

__all__ = ["PREDICTIONS", "SURE", "Predicted", "predict"]

SURE = 0.3
"""The score from which a box is shown."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """JSON file `predictions`, with the numbers of samples and pictures."""

    task: str
    predictions: Path
    samples: int
    pictures: int
    notices: tuple[str, ...]


def predict(
    model: Model,
    data: Data,
    output: str | Path,
    *,
    task: str | None = None,
    runtime: str | None = None,
    nms: Suppression | None = None,
    run: Run | None = None,
) -> Predicted:
    """Runs the model on `data`, and writes pictures and predictions.json to `output`.

    The data need no labels.

    `output` is a directory, made if it is not there; all of it appears at the end, and replaces only what an earlier
    call wrote. Raises ModelError, DataError, DependencyError and OutputError.
    """
    run, samples = run or Run(), Samples.of(data)
    run.require_only("predict", "threads")
    subject = Subject.of(model, runtime, run.threads)
    dataset = samples.open(subject.session.inputs, subject.facts, labelled=False)
    info, notice = task_for(task, subject.facts, subject.session, dataset, labelled=False)
    present = postprocessing_of(subject.facts)
    settings = nms or Suppression(score_threshold=SURE)
    if nms is not None:
        _check_suppression(settings, info, present, suppression_of(subject.facts))
    session = info.decided(subject.session, present, suppression=settings, threads=run.threads)
    skipped: list[str] = []
    count = 0
    with album(Path(output), _images(dataset)) as made:
        for seen in _seen(dataset, subject, samples.on_error, skipped):
            outputs = outputs_for(session, [seen.sample])
            made.add(seen.sample.name, info.read(seen, outputs, present, settings.score_threshold))
            count += 1
            run.progress("predict", count, dataset.len_hint)
    notices = (notice, *dataset.notices, describe_skipped(skipped) if skipped else "")
    return Predicted(
        task=info.task,
        predictions=made.directory / PREDICTIONS,
        samples=count,
        pictures=made.pictures,
        notices=tuple(filter(None, notices)),
    )


def _check_suppression(
    settings: Suppression, task: Task, present: str | None, built_in: Suppression | None
) -> None:
    if "nms" not in task.tail_options:
        raise DataError(
            f"score, IoU and number of boxes are for {tasks_with('nms')}, but the model is for {task.task}"
        )
    others = (settings.iou_threshold, settings.max_detections)
    if present == "detections" and others != (Suppression.iou_threshold, Suppression.max_detections):
        raise DataError(
            "the model applies NMS itself (it was exported with --nms), so that IoU and number of "
            "boxes are settled; leave out --iou-threshold and --max-detections, or export it anew"
        )
    if built_in is not None and settings.score_threshold < built_in.score_threshold:
        raise DataError(
            f"the model leaves out boxes of scores up to {built_in.score_threshold:g} itself, and a threshold of "
            f"{settings.score_threshold:g} does not bring them back; export it anew with a lower --score-threshold"
        )


def _images(dataset: Dataset) -> Sequence[ImageFile]:
    """The image files that the samples are from, if they are."""
    if isinstance(dataset, CheckedDataset) and isinstance(dataset.source, ImageSource):
        return dataset.source.files[dataset.start : dataset.stop]
    return ()


def _seen(dataset: Dataset, subject: Subject, on_error: OnError, skipped: list[str]) -> Iterator[Seen]:
    """Samples with their images, or the reasons of unreadable ones.

    Images where they are image files, or pixels in a data file.
    """
    source = dataset.source if isinstance(dataset, CheckedDataset) else None
    read: Callable[[tuple[Any, int]], Seen | DataError]
    items: Sequence[Any]
    if isinstance(source, ImageSource):
        items = _images(dataset)
        read = partial(_of_file, source, subject)
        ids = _image_ids([file.name for file in items], [file.label for file in items])
    elif isinstance(source, DataFileSource) and source.has_pictures:
        assert isinstance(dataset, CheckedDataset)
        items = range(source.size)[dataset.start : dataset.stop]
        read = partial(_of_record, source, subject)
        ids = _image_ids([source.contents.names[i] for i in items], [source.label(i) for i in items])
    else:
        for i, sample in enumerate(dataset, 1):
            yield Seen(sample=sample, image_id=i)
        return
    found = False
    for seen in _readable(read_ahead(read, list(zip(items, ids, strict=True))), on_error, skipped):
        found = True
        yield seen
    if not found:
        raise DataError(f"{source.name} holds no image that can be read: {describe_skipped(skipped)}")


def _readable(items: Iterable[Seen | DataError], on_error: OnError, skipped: list[str]) -> Iterator[Seen]:
    for item in items:
        if isinstance(item, Seen):
            yield item
        elif on_error == "stop":
            raise item
        else:
            skipped.append(str(item))


def _of_file(source: ImageSource, subject: Subject, item: tuple[ImageFile, int]) -> Seen | DataError:
    file, image_id = item
    try:
        picture = source.picture(file)
        placed = source.place(file, picture)
        sample = check_sample(source.finish(file, placed), subject.session.inputs, lambda _: None)
    except DataError as error:
        return error
    view = placed.image if source.preprocessing.crop else picture.image
    return Seen(sample=sample, image_id=image_id, image=view)


def _of_record(source: DataFileSource, subject: Subject, item: tuple[int, int]) -> Seen | DataError:
    index, image_id = item
    try:
        sample = check_sample(source.sample(index), subject.session.inputs, lambda _: None)
    except DataError as error:
        return error
    return Seen(sample=sample, image_id=image_id, image=source.picture(index))


def _image_ids(names: Sequence[str], labels: Sequence[object]) -> list[int]:
    """Image ids of the annotation file, else of file names, else 1, 2, ….

    File names as COCO's are.
    """
    known = [label.image_id for label in labels if isinstance(label, Boxes)]
    if len(known) == len(names):
        return known
    stems = [PurePath(name).stem for name in names]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]
    return numbers if len(set(numbers)) == len(names) else list(range(1, len(names) + 1))
