"""What models are for."""

from tinyint.tasks.task import (
    TASKS,
    Classification,
    Detection,
    Segmentation,
    TaskInfo,
    TaskName,
    task_of,
)

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "Segmentation",
    "TaskInfo",
    "TaskName",
    "task_of",
]
