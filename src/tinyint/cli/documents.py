"""Types of the documents of `--json`, by command.

The commands are checked against them, and the schemas are made from them.
No command loads this module; for its types alone, it would load all that any of them may show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # typing's own has no types to read at run time before Python 3.12

from tinyint.advice.advise import ModelFacts
from tinyint.api import Examination
from tinyint.api.inspect import Planned
from tinyint.data import Preprocessing
from tinyint.diagnosis.compare import TensorComparison
from tinyint.diagnosis.sensitivity import UnitSensitivity
from tinyint.proof import TensorRow
from tinyint.proof.coverage import FloatNode
from tinyint.proof.document import LabelledAccuracy, ReportDocument
from tinyint.proof.regression import Check
from tinyint.proof.tester import Performance
from tinyint.quantization.recipe import Recipe
from tinyint.quantization.recipe.model import Method
from tinyint.runtimes import Executed
from tinyint.tasks.tails import Suppression
from tinyint.train import Outcome
from tinyint.train.reading import Key

__all__ = ["DOCUMENTS", "ErrorDocument"]


class ErrorDocument(TypedDict):
    """Error of any command, printed with exit code 1 or 2."""

    error: str


class DemoDocument(ReportDocument):
    """Report, and accuracy on labelled images."""

    accuracy: LabelledAccuracy
    test_samples: int


class CalibrateDocument(TypedDict):
    """Calibration record."""

    output: str
    samples: int
    tensors: int
    model_fingerprint: str
    data_fingerprint: str


class DifferenceDocument(TypedDict):
    """Difference of a metric between two models, and whether it is beyond chance."""

    value: float
    low: float
    high: float
    p: float
    test: Literal["McNemar", "bootstrap"]
    beyond_chance: bool


class AgainstDocument(TypedDict):
    """Another model on the same samples."""

    model: str
    metrics: Mapping[str, float | None] | None
    differences: Mapping[str, DifferenceDocument]


class EvaluateDocument(TypedDict):
    """Metrics of a task; `against` is there with --against."""

    model: str
    task: str
    metrics: Mapping[str, float | None]
    per_class: Mapping[str, float | None]
    samples: int
    classes: int
    notices: Sequence[str]
    against: NotRequired[AgainstDocument]


Models = TypedDict("Models", {"float": str, "int8": str})  # noqa: UP013


class CompareDocument(Models):
    """Error by tensor, worst first."""

    samples: int
    tensors: Sequence[TensorComparison]
    unmatched: Sequence[str]
    unlike: Mapping[str, int]


class SensitivityDocument(Models):
    """Error by unit, worst first: of `compare --sensitivity`."""

    rows: Sequence[UnitSensitivity]
    samples: int
    total_db: float
    sum_db: float
    metrics: Mapping[str, float]
    metrics_int8: Mapping[str, float]
    runtime: str
    notices: Sequence[str]


class PreprocessDocument(TypedDict):
    """Data file."""

    output: str
    samples: int
    dtype: str
    shape: Sequence[int]
    labels: str | None
    classes: Sequence[str] | None
    preprocessing: Preprocessing
    size_bytes: int
    resumed: int
    skipped: int
    notices: Sequence[str]


class ExportDocument(TypedDict):
    """Model with its postprocessing."""

    output: str
    task: str
    postprocessing: str | None
    outputs: Sequence[str]
    runtime: str
    int8_nodes: int


class PredictDocument(TypedDict):
    """Predictions, in the file `predictions`."""

    model: str
    task: str
    output: str
    predictions: str
    samples: int
    pictures: int
    notices: Sequence[str]


class InspectDocument(TypedDict):
    """Contents of a model."""

    model: str
    quantized: bool
    made_by: str | None
    method: str | None
    target: str | None
    task: str | None
    postprocessing: str | None
    suppression: Suppression | None
    runtime: str
    operators: Mapping[str, int]
    executed: Sequence[Executed]
    declared: Sequence[Executed]
    float_nodes: Sequence[FloatNode]
    tensors: Sequence[TensorRow]
    plans: Sequence[Planned]
    notes: Sequence[str]
    nodes_int8: int
    nodes_float: int


class BenchDocument(TypedDict):
    """Timings side by side."""

    results: Sequence[Performance]
    notices: Sequence[str]


class AdviseDocument(TypedDict):
    """Method that fits, and the commands to run."""

    model: str
    method: Method | Literal["qat"]
    recipe: str
    target: str
    reasons: Sequence[str]
    commands: Sequence[str]
    facts: ModelFacts


class CacheDocument(TypedDict):
    """Contents of the cache."""

    directory: str | None
    bytes: int
    limit_bytes: int
    removed_files: int
    removed_bytes: int


class KeysDocument(TypedDict):
    """Keys of a config: of --help-config."""

    keys: Sequence[Key]


class RecipesDocument(TypedDict):
    """All presets."""

    recipes: Sequence[Recipe]


class PaddleSlimDocument(TypedDict):
    """Recipe of a PaddleSlim config, and what of that cannot be honoured."""

    recipe: Recipe
    training: Mapping[str, Any]
    not_honoured: Sequence[str]
    not_honoured_in_training: Sequence[str]


class NetworkDocument(TypedDict):
    """Reference network."""

    name: str
    task: str
    parameters: int
    size: int
    paper: str


class NetworksDocument(TypedDict):
    """Reference networks."""

    networks: Sequence[NetworkDocument]


class NetworkFileDocument(TypedDict):
    """Exported network."""

    name: str
    output: str
    size_bytes: int


class FamilyDocument(TypedDict):
    """Family of synthetic data; `train` and `val` are numbers of samples."""

    name: str
    task: str
    what: str
    train: int
    val: int
    classes: Sequence[str]


class FamiliesDocument(TypedDict):
    """Families of synthetic data."""

    families: Sequence[FamilyDocument]


class MadeDataDocument(TypedDict):
    """Synthetic data that were made."""

    family: str
    directory: str
    seed: int
    train: int
    val: int
    size: int | None
    classes: Sequence[str]


_TRAINING = Outcome | KeysDocument

DOCUMENTS: dict[str, Any] = {
    "demo": DemoDocument,
    "quantize": ReportDocument,
    "calibrate": CalibrateDocument,
    "evaluate": EvaluateDocument,
    "compare": CompareDocument | SensitivityDocument,
    "check": Check,
    "preprocess": PreprocessDocument,
    "export": ExportDocument,
    "predict": PredictDocument,
    "inspect": InspectDocument,
    "bench": BenchDocument,
    "doctor": Examination,
    "advise": AdviseDocument,
    "cache": CacheDocument,
    "train": _TRAINING,
    "qat": _TRAINING,
    "recipe show": Recipe | RecipesDocument,
    "recipe from-paddleslim": PaddleSlimDocument,
    "zoo list": NetworksDocument,
    "zoo export": NetworkFileDocument,
    "data list": FamiliesDocument,
    "data make": MadeDataDocument,
}
"""By command: what it prints with `--json` where it ends with exit code 0 or 3."""
