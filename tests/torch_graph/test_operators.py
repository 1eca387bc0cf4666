"""Every operator of the table against ONNX's own cases."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.graph.build import build
from tests.qat.cases import Case, all_cases, array, by_operator
from tinyint.qat import to_torch
from tinyint.torch_graph.operators import OPERATORS, to_tensor

# ONNX has no case for these; test_older_opsets compares them with ONNX Runtime.
WITHOUT_CASES = {"GlobalLpPool"}


def check(case: Case) -> None:
    module = to_torch(ir.from_proto(case.model))
    for inputs, outputs in case.data:
        with torch.no_grad():
            found = module(*(None if x is None else to_tensor(array(x)) for x in inputs))
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(outputs)
        for ours, theirs in zip(found, map(array, outputs), strict=True):
            # In 16 bits the last bits depend on the order of the additions inside the operator.
            ulps = 2 * torch.finfo(ours.dtype).eps if ours.dtype in (torch.bfloat16, torch.float16) else 0.0
            if ours.dtype == torch.bfloat16:
                ours, theirs = ours.float(), theirs.astype(np.float32)
            assert ours.numpy().dtype == theirs.dtype
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=max(case.rtol, ulps), atol=case.atol)


@pytest.mark.filterwarnings("ignore")  # NumPy and torch warn about overflows that the cases plant
@pytest.mark.parametrize("operator", [*sorted(OPERATORS), "Constant", "expanded"])
def test_operator_passes_all_cases_of_onnx(operator):
    failed = []
    cases = [case for case in by_operator().get(operator, ()) if not case.excluded]
    assert cases or operator in WITHOUT_CASES
    for case in cases:
        try:
            check(case)
        except Exception as error:
            failed.append(f"{case.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    assert not failed, "\n".join(failed)


def test_no_case_goes_missing():
    assert len(OPERATORS) >= 152
    run = [case for case in all_cases() if not case.excluded]
    assert len(run) >= 1397
    assert len(all_cases()) - len(run) <= 174


def test_the_gradient_of_celu_is_finite_where_its_exponential_is_not():
    celu = to_torch(build("net (float[2] x) => (float[2] y) { y = Celu <alpha = 2.0> (x) }"))
    x = torch.tensor([200.0, -2.0], requires_grad=True)
    celu(x).sum().backward()
    assert x.grad.tolist() == pytest.approx([1.0, np.exp(-1.0)])
