"""Module in training as a session, evaluated as its int8 model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tinyint.data import input_specs
from tinyint.loading.module_session import ModuleSession
from tinyint.loading.structure import leaves
from tinyint.qat.qat_module import QatModule

__all__ = ["qat_session"]


def qat_session(module: QatModule) -> ModuleSession:
    """Inputs and outputs have the graph's names."""

    def forward(feeds: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return dict(zip(module.output_names, leaves(module(**feeds), Tensor), strict=True))

    return ModuleSession(module, input_specs(module.origin.prepared), module.output_names, forward)
