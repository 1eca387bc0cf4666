"""What models are for."""

from tinyint.tasks.task import (
    METADATA_KEY,
    TASKS,
    Classification,
    Detection,
    Segmentation,
    TaskInfo,
    TaskName,
    task_of,
)

__all__ = [
    "METADATA_KEY",
    "TASKS",
    "Classification",
    "Detection",
    "Segmentation",
    "TaskInfo",
    "TaskName",
    "task_of",
]
