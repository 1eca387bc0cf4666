"""Small graphs of ONNX Runtime's quantization tests around products, and its own operators."""

from __future__ import annotations

import numpy as np

from tests.peers.case import NOTHING, Case, ints

PRODUCTS = {
    "Add, ReduceMean, Add": Case(
        text="""net (float[5, 5] x) => (float[5, 5] y) { p = Add (x, m) q = ReduceMean <keepdims = 1> (p)
          y = Add (q, n) }""",
        weights={"m": (5, 5), "n": (5, 5)},
        refused=NOTHING,
    ),
    "Add before three products": Case(
        text="""net (float[5, 5] x) => (float[5, 5] y, float[5, 5] z, float[5, 5] u) { t = Add (x, p)
          [one] y = MatMul (t, q) [two] z = MatMul (t, r) [three] u = MatMul (t, s) }""",
        weights={"p": (5, 5), "q": (5, 5), "r": (5, 5), "s": (5, 5)},
        int8="one two three",
    ),
    "Conv, Clip, Reshape": Case(
        text="""net (float[1, 8, 16, 16] x) => (float[A, B] y) {  [conv] a = Conv (x, w, b)
          [clip] c = Clip (a, low, high) [flat] y = Reshape (c, to) }""",
        weights={
            "w": (4, 8, 3, 3),
            "b": (4,),
            "low": np.float32(-1),
            "high": np.float32(1),
            "to": ints(1, -1),
        },
        int8="conv",
    ),
    "Conv and Relu, one of them an output": Case(
        text="""net (float[1, 8, 10, 10] x) => (float[A, B, C, D] y, float[E, F, G, H] r) {
          [one] a = Conv (x, w, b) [relu] r = Relu (a) [two] y = Conv (r, v) }""",
        weights={"w": (4, 8, 3, 3), "b": (4,), "v": (4, 4, 3, 3)},
        int8="one two",
    ),
    "Gemm, Clip, Gemm": Case(
        text="""net (float[N, 10] x) => (float[N, 10] y) {  [one] a = Gemm <transB = 1> (x, w1, b1)
          [clip] c = Clip (a, low, high) [two] y = Gemm <transB = 1> (c, w2, b2) }""",
        weights={
            "w1": (100, 10),
            "b1": (100,),
            "w2": (10, 100),
            "b2": (10,),
            "low": np.float32(-1),
            "high": np.float32(1),
        },
        int8="one two",
    ),
    "Gemm with alpha and beta": Case(
        text="net (float[N, 10] x) => (float[N, 6] y) { [gemm] y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b) }",
        weights={"w": (10, 6), "b": (6,)},
        int8="gemm",
    ),
    "Gemm with a bias for each row": Case(
        text="net (float[4, 10] x) => (float[4, 6] y) { [gemm] y = Gemm (x, w, b) }",
        weights={"w": (10, 6), "b": (4, 1)},
        int8="gemm",
    ),
    "Gemm with a transposed input": Case(
        text="net (float[10, 4] x) => (float[4, 6] y) { [gemm] y = Gemm <transA = 1> (x, w, b) }",
        weights={"w": (10, 6), "b": (6,)},
        int8="gemm",
    ),
    "Gemm of two inputs": Case(
        text="""net (float[4, 10] x, float[10, 6] w) => (float[4, 5] y) {  [gemm] a = Gemm (x, w)
          [next] y = MatMul (a, v) }""",
        weights={"v": (6, 5)},
        int8="gemm next",
        openvino="next",
    ),
    "two products in a row": Case(
        text="net (float[N, 4, 10] x) => (float[N, 4, 10] y) { [one] a = MatMul (x, w1) [two] y = MatMul (a, w2) }",
        weights={"w1": (10, 20), "w2": (20, 10)},
        int8="one two",
    ),
    "a vector after a matrix": Case(
        text="net (float[4, 10] x) => (float[4] y) { [product] y = MatMul (x, w) }",
        weights={"w": (10,)},
        refused="one of its operands is a vector",
    ),
    "a constant before the product": Case(
        text="net (float[10, 4] x) => (float[6, 4] y) { [product] y = MatMul (w, x) }",
        weights={"w": (6, 10)},
        refused="its first input is constant",
    ),
    "Sigmoid before Conv of rank 1": Case(
        text="net (float[1, 2, 3] x) => (float[A, B, C] y) { [act] s = Sigmoid (x) [conv] y = Conv (s, w, b) }",
        weights={"w": np.float32([[[-1, -2], [1, 2]], [[-0.5, -1.5], [0.5, 1.5]]]), "b": np.float32([0, 1])},
        int8="conv",
    ),
    "Conv of rank 3": Case(
        text="net (float[1, 2, 6, 6, 6] x) => (float[A, B, C, D, E] y) { [conv] y = Conv (x, w, b) }",
        weights={"w": (4, 2, 3, 3, 3), "b": (4,)},
        int8="conv",
    ),
    **{
        f"ConvTranspose{what}": Case(
            text="net (float[1, 4, 8, 8] x) => (float[A, B, C, D] y) { "
            f"[up] a = ConvTranspose <{attributes}> (x, w, b) [conv] y = Conv (a, v) }}",
            weights={"w": shape, "b": (6,), "v": (5, 6, 1, 1)},
            int8="conv",
            openvino="conv" if "group" in attributes else "up conv",
        )
        for what, attributes, shape in (
            ("", "strides = [2, 2]", (4, 6, 2, 2)),
            (" in groups", "group = 2, pads = [1, 1, 1, 1]", (4, 3, 3, 3)),
        )
    },
    "a range of nothing": Case(
        text="""net (float[N, 3, 8, 8] x) => (float[A, B, C, D] y) { z = Mul (x, zero) [one] a = Conv (z, w, b)
          [two] y = Conv (a, w2, b2) }""",
        weights={"w": (4, 3, 3, 3), "b": (4,), "w2": (5, 4, 1, 1), "b2": (5,), "zero": np.float32(0)},
        int8="one two",
    ),
    "a large bias under small weights": Case(
        text="net (float[N, 3, 8, 8] x) => (float[A, B, C, D] y) { s = Mul (x, small) [conv] y = Conv (s, w, b) }",
        weights={
            "w": np.float32(
                np.random.default_rng(0).normal(size=(4, 3, 3, 3))
                * np.float32([1e-5, 1, 1, 1]).reshape(4, 1, 1, 1)
            ),
            "b": np.float32([5, 1, 0.5, 0]),
            "small": np.float32(1e-3),
        },
        int8="conv",
    ),
    "Erf, written out": Case(
        text="""net (float[1, 6, 8] x) => (float[1, 6, 8] y) {  [one] a = MatMul (x, w1) [bias] r = Add (a, b)
          d = Div (r, root) e = Erf (d) o = Add (e, one1) m = Mul (r, half)
          g = Mul (m, o) [two] y = MatMul (g, w2) }""",
        weights={
            "w1": (8, 16),
            "b": (16,),
            "w2": (16, 8),
            "root": np.float32(2**0.5),
            "one1": np.float32(1),
            "half": np.float32(0.5),
        },
        int8="one two",
    ),
    "LayerNormalization, written out": Case(
        text="""net (float[1, 6, 8] x) => (float[1, 6, 8] y) {  [one] a = MatMul (x, w1)
          m = ReduceMean <axes = [-1]> (a) c = Sub (a, m) p = Pow (c, two2)
          v = ReduceMean <axes = [-1]> (p) e = Add (v, eps) s = Sqrt (e) d = Div (c, s) g = Mul (d, gamma)
          n = Add (g, beta) [two] y = MatMul (n, w2) }""",
        weights={
            "w1": (8, 16),
            "w2": (16, 8),
            "two2": np.float32(2),
            "eps": np.float32(1e-5),
            "gamma": (16,),
            "beta": (16,),
        },
        int8="one two",
    ),
    "a norm of length one, written out": Case(
        text="""net (float[1, 6, 8] x) => (float[1, 6, 8] y) {  [one] a = MatMul (x, w1)
          l = ReduceL2 <axes = [-1], keepdims = 1> (a) c = Clip (l, eps)
          e = Expand (c, to) d = Div (a, e) [two] y = MatMul (d, w2) }""",
        weights={"w1": (8, 16), "w2": (16, 8), "eps": np.float32(1e-6), "to": ints(1, 6, 16)},
        int8="one two",
    ),
    "LSTM between products": Case(
        text="""net (float[5, 2, 6] x) => (float[A, B, C] y) {  [one] a = MatMul (x, w1)
          [rnn] h, hn, cn = LSTM <hidden_size = 8> (a, w, r, b)
          [drop] s = Squeeze (h, axis) [two] y = MatMul (s, w2) }""",
        weights={
            "w1": (6, 10),
            "w": (1, 32, 10),
            "r": (1, 32, 8),
            "b": (1, 64),
            "axis": ints(1),
            "w2": (8, 4),
        },
        int8="one drop two",
        openvino="one two",
    ),
    "GRU in both directions": Case(
        text="""net (float[5, 2, 6] x) => (float[A, B, C, D] y) {  [one] a = MatMul (x, w1)
          [rnn] h = GRU <hidden_size = 8, direction = "bidirectional"> (a, w, r, b)
          [two] y = MatMul (h, w2) }""",
        weights={"w1": (6, 10), "w": (2, 24, 10), "r": (2, 24, 8), "b": (2, 48), "w2": (8, 4)},
        int8="one two",
    ),
}

CONTRIB = {
    "Attention": Case(
        text="""net (float[1, S, 10] x) => (float[1, S, 10] y) {
          [attention] a = com.microsoft.Attention <num_heads = 5> (x, wqkv, bqkv) [product] y = MatMul (a, w) }""",
        weights={"wqkv": (10, 30), "bqkv": (30,), "w": (10, 10)},
        int8="product",
    ),
    "EmbedLayerNormalization": Case(
        text="""net (int32[2, 3] ids, int32[2, 3] segments) => (float[2, 3, 6] y) {
          [embed] e, m = com.microsoft.EmbedLayerNormalization (ids, segments, words, positions, kinds, gamma, beta)
          [product] y = MatMul (e, w) }""",
        weights={
            "words": (20, 16),
            "positions": (8, 16),
            "kinds": (2, 16),
            "gamma": (16,),
            "beta": (16,),
            "w": (16, 6),
        },
        int8="product",
        refused=dict.fromkeys(("openvino", "openvino-avx2"), "openvino cannot load it"),
    ),
    "SkipLayerNormalization": Case(
        text="""net (float[2, 3, 16] x) => (float[2, 3, 16] y) { [one] a = MatMul (x, w1)
          [norm] n = com.microsoft.SkipLayerNormalization (a, x, gamma, beta, b) [two] y = MatMul (n, w2) }""",
        weights={"w1": (16, 16), "gamma": (16,), "beta": (16,), "b": (16,), "w2": (16, 16)},
        int8="one two",
    ),
    "BiasGelu": Case(
        text="""net (float[2, 3, 16] x) => (float[2, 3, 16] y) {  [one] a = MatMul (x, w1)
          [act] g = com.microsoft.BiasGelu (a, b) [two] y = MatMul (g, w2) }""",
        weights={"w1": (16, 16), "b": (16,), "w2": (16, 16)},
        int8="one two",
    ),
    "FastGelu": Case(
        text="""net (float[2, 3, 16] x) => (float[2, 3, 16] y) {  [one] a = MatMul (x, w1)
          [act] g = com.microsoft.FastGelu (a, b) [two] y = MatMul (g, w2) }""",
        weights={"w1": (16, 16), "b": (16,), "w2": (16, 16)},
        int8="one two",
    ),
}
