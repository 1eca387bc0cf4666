"""Tasks: one object per task, with its metrics, postprocessing, pictures and loss."""

from tinyint.tasks.classification import Classification
from tinyint.tasks.detection import Detection
from tinyint.tasks.registry import TASKS, infer_task, postprocessing_of, require_labels, task_of
from tinyint.tasks.segmentation import Segmentation
from tinyint.tasks.task import Task

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "Segmentation",
    "Task",
    "infer_task",
    "postprocessing_of",
    "require_labels",
    "task_of",
]
