"""Small float networks with the structures that planning is about, on `tests.graph.build`."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from tests.graph.build import build
from tinyint.graph.prepare import prepare


def residual() -> ir.Model:
    """conv1 → Relu → (conv2 → Relu → conv3) + skip → Relu → pool → classifier, as in a ResNet."""
    return prepare(
        build(
            """
            net (float[N, 3, 16, 16] x) => (float[N, 10] y) {
              [conv1] a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
              [relu1] ar = Relu (a)
              [conv2] b = Conv <pads = [1, 1, 1, 1]> (ar, w2, b2)
              [relu2] br = Relu (b)
              [conv3] c = Conv (br, w3, b3)
              [add] s = Add (c, ar)
              [relu3] sr = Relu (s)
              [pool] p = GlobalAveragePool (sr)
              [flat] f = Flatten (p)
              [fc] y = Gemm <transB = 1> (f, w4, b4)
            }
            """,
            w1=(8, 3, 3, 3),
            b1=(8,),
            w2=(8, 8, 3, 3),
            b2=(8,),
            w3=(8, 8, 1, 1),
            b3=(8,),
            w4=(10, 8),
            b4=(10,),
        )
    )


def inception() -> ir.Model:
    """Two convolutions side by side into a Concat, a MaxPool, and a convolution after."""
    return prepare(
        build(
            """
            net (float[1, 4, 8, 8] x) => (float[1, 6, 4, 4] y) {
              [left] a = Conv (x, w1)
              [left_relu] ar = Relu (a)
              [right] b = Conv (x, w2)
              [right_relu] br = Relu (b)
              [join] c = Concat <axis = 1> (ar, br)
              [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
              [last] y = Conv (p, w3)
            }
            """,
            w1=(5, 4, 1, 1),
            w2=(3, 4, 1, 1),
            w3=(6, 8, 1, 1),
        )
    )


def depthwise() -> ir.Model:
    """Expansion, depthwise and projection with ReLU6, as in a MobileNetV2."""
    six = np.float32(6.0)
    return prepare(
        build(
            """
            net (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) {
              [expand] a = Conv (x, w1, b1)
              [clip1] ac = Clip (a, zero, six)
              [depth] b = Conv <group = 8, pads = [1, 1, 1, 1]> (ac, w2, b2)
              [clip2] bc = Clip (b, zero, six)
              [project] c = Conv (bc, w3, b3)
              [add] y = Add (c, x)
            }
            """,
            w1=(8, 4, 1, 1),
            b1=(8,),
            w2=(8, 1, 3, 3),
            b2=(8,),
            w3=(4, 8, 1, 1),
            b3=(4,),
            zero=np.float32(0.0),
            six=six,
        )
    )


def detector() -> ir.Model:
    """Joins of unlike ranges: a neck that two convolutions read, and an output of boxes (±100) and scores (0 to 1)."""
    generator = np.random.default_rng(5)

    def weights(shape: tuple[int, ...], scale: float) -> np.ndarray:
        return (scale * generator.normal(size=shape)).astype(np.float32)

    return prepare(
        build(
            """
            net (float[N, 4, 8, 8] x) => (float[N, 8, 8, 8] y) {
              [quiet] a = Conv (x, w1)
              [loud] b = Conv (x, w2)
              [neck] n = Concat <axis = 1> (a, b)
              [mix] m = Conv (n, w3)
              [relu] r = Relu (m)
              [boxes] d = Conv (r, w5)
              [logits] l = Conv (a, w4)
              [scores] p = Sigmoid (l)
              [head] y = Concat <axis = 1> (d, p)
            }
            """,
            w1=weights((4, 4, 1, 1), 0.02),
            w2=weights((4, 4, 1, 1), 0.5),
            w3=weights((8, 8, 1, 1), 0.3),
            w4=weights((4, 4, 1, 1), 20.0),
            w5=weights((4, 8, 1, 1), 20.0),
        )
    )


def transformer() -> ir.Model:
    """One attention block: weighted MatMul with bias, two MatMuls of activations, Softmax, LayerNormalization."""
    return prepare(
        build(
            """
            net (float[N, 6, 16] x) => (float[N, 6, 16] y) {
              [query] q0 = MatMul (x, wq)
              [query_bias] q = Add (q0, bq)
              [key] k = MatMul (x, wk)
              [turn] kt = Transpose <perm = [0, 2, 1]> (k)
              [scores] s = MatMul (q, kt)
              [softmax] p = Softmax <axis = -1> (s)
              [mix] m = MatMul (p, x)
              [skip] r = Add (m, x)
              [norm] n = LayerNormalization <axis = -1> (r, gamma, beta)
              [out] y = MatMul (n, wo)
            }
            """,
            wq=(16, 16),
            bq=(16,),
            wk=(16, 16),
            wo=(16, 16),
            gamma=(16,),
            beta=(16,),
        )
    )


def image_classifier() -> ir.Model:
    """Images (N, 3, 16, 16) to five classes, by random weights; its borders count."""
    return build(
        """
        g (float[N,3,16,16] image) => (float[N,5] logits) {
          a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image, w, b)  c = Relu (a)
          d = Conv <pads = [1, 1, 1, 1]> (c, v)  e = Relu (d)  f = GlobalAveragePool (e)
          h = Flatten (f)  logits = Gemm (h, m)
        }
        """,
        w=(8, 3, 3, 3),
        b=(8,),
        v=(8, 8, 3, 3),
        m=(8, 5),
    )


def noise(model: ir.Model, count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """`count` samples of normal noise for a model with one float input; symbolic dimensions are 1."""
    (value,) = model.graph.inputs
    assert value.shape is not None
    shape = [dim if isinstance(dim, int) else 1 for dim in value.shape]
    generator = np.random.default_rng(seed)
    return [{value.name or "": generator.normal(size=shape).astype(np.float32)} for _ in range(count)]
