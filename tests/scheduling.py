"""Which process runs which file of tests, so that the death of one costs one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

__all__ = ["FileScheduling", "pytest_xdist_make_scheduler"]


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """File by file, also after a process has died.

    xdist 3.8 hands the files of a dead process to another one, those that were done among them, and then waits for
    ever for a test of those. A runtime that damages its memory ends a process in some later test.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        files = self.assigned_work[node]
        ended = next((test for tests in files.values() for test, done in tests.items() if not done), None)
        if ended is not None:
            for tests in files.values():
                tests.update({ended: True} if ended in tests else {})
        for file in [file for file, tests in files.items() if all(tests.values())]:
            del files[file]
        super().remove_node(node)
        return ended


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling | None:
    """For `--dist loadfile`."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None
