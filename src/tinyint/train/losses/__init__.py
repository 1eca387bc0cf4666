"""Losses of tasks beyond classification: pure functions of a model's outputs and the labels."""

from __future__ import annotations

from tinyint.train.losses.yolo import yolo_loss

__all__ = ["yolo_loss"]
