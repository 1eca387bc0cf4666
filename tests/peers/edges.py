"""Small graphs of NNCF's tests: where weights come from, what has none, shapes that are computed, and bodies."""

from __future__ import annotations

import numpy as np

from tests.peers.case import NOTHING, Case, ints

SHAPES_AND_EDGES = {
    "Linear: two convolutions with a batch norm": Case(
        text="""net (float[1, 3, 32, 32] x) => (float[1, 10, 1, 1] y) {
          [conv1] a = Conv (x, w1, b1) [norm] n = BatchNormalization (a, scale, shift, mean, var)
          [relu] r = Relu (n) [pool] p = GlobalAveragePool (r) [conv2] y = Conv (p, w2, b2) }""",
        weights={
            "w1": (32, 3, 3, 3),
            "b1": (32,),
            "scale": (32,),
            "shift": (32,),
            "mean": (32,),
            "var": np.full(32, 0.7, np.float32),
            "w2": (10, 32, 1, 1),
            "b2": (10,),
        },
        int8="conv1 pool conv2",
    ),
    "several inputs and outputs without weights": Case(
        text="""net (float[1, 6, 3, 3] x, float[2, 6, 3, 3] y, float[3, 6, 3, 3] z)
          => (float[6, 6, 3, 3] s, float[2, 6, 3, 3] t) {
          s = Concat <axis = 0> (x, y, z) t = Add (x, y) }""",
        refused=NOTHING,
    ),
    "parallel edges without weights": Case(
        text="""net (float[1, 6, 3, 3] x) => (float[4, 6, 3, 3] y) { a = Concat <axis = 0> (x, x)
          y = Concat <axis = 0> (a, a) }""",
        refused=NOTHING,
    ),
    "integer edges": Case(
        text="net (float[1, 6, 3, 3] x) => (float[1, 6, 3, 3] y) { s = Shape (x) y = ConstantOfShape (s) }",
        refused=NOTHING,
    ),
    "input to output": Case(
        text="net (float[1, 3, 3, 3] x) => (float[1, 3, 3, 3] y) { y = Identity (x) }", refused=NOTHING
    ),
    "one port to quantize": Case(
        text="net (float[1, 1, 5, 5] x) => (float[1, 1, 5, 5] y) { r = Relu (x) s = Softmax (r) y = Mul (r, s) }",
        refused=NOTHING,
    ),
    "Where of inputs": Case(
        text="net (bool[2, 2] c, float[2, 2] x, float[2, 2] y) => (float[2, 2] z) { z = Where (c, x, y) }",
        refused=NOTHING,
    ),
    "Pad of an input": Case(
        text="net (float[1, 2, 5, 5] x) => (float[A, B, C, D] y) { y = Pad (x, pads) }",
        weights={"pads": ints(0, 0, 1, 2, 0, 0, 3, 4)},
        refused=NOTHING,
    ),
    "parallel edges: a product of two parts": Case(
        text="""net (float[1, 6, 4, 4] x) => (float[A, B, C, D] y, float[E, F, G, H] z) {
          [split] a, b = Split <axis = 1> (x, parts) [one] y = MatMul (a, b) [two] z = MatMul (a, b) }""",
        weights={"parts": ints(3, 3)},
        int8="one two",
        refused={"openvino-avx2": "saturates without VNNI"},
    ),
    "a convolution whose bias comes through Identity": Case(
        text="net (float[1, 3, 10, 10] x) => (float[1, 32, 10, 10] y) { c = Identity (b) [conv] y = Conv (x, w, c) }",
        weights={"w": (32, 3, 1, 1), "b": (32,)},
        int8="conv",
    ),
    "a depthwise convolution of several outputs a group": Case(
        text="net (float[1, 3, 10, 10] x) => (float[1, 27, 10, 10] y) { [conv] y = Conv <group = 3> (x, w, b) }",
        weights={"w": (27, 1, 1, 1), "b": (27,)},
        int8="conv",
    ),
    "a convolution after Identity": Case(
        text="net (float[1, 3, 10, 10] x) => (float[1, 8, 9, 9] y) { i = Identity (x) [conv] y = Conv (i, w, b) }",
        weights={"w": (8, 3, 2, 2), "b": (8,)},
        int8="conv",
    ),
    "weights through Reshape": Case(
        text="""net (float[1, 10] x) => (float[1, 5] y) { r = Reshape (w, to) [shift] a = Add (x, z)
          [gemm] l = Gemm (a, r) [softmax] y = Softmax (l) }""",
        weights={"w": (1, 1, 10, 5), "z": (1, 10), "to": ints(10, 5)},
        int8="gemm",
    ),
    "weights through Identity, and in a Constant": Case(
        text="""net (float[2, 10] x) => (float[2, 4] y) { i = Identity (w) j = Identity (i) [one] a = MatMul (x, j)
          c = Constant <value = float[5, 4] {
            0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0,
            0.1, 0.2, -0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9, -1.0}> ()
          [two] y = MatMul (a, c) }""",
        weights={"w": (10, 5)},
        int8="one two",
    ),
    "weights through Reshape, Transpose and Identity": Case(
        text="""net (float[1, 1, 28, 28] x) => (float[1, 2, 28, 28] y) { r = Reshape (w, to)
          t = Transpose <perm = [0, 1, 3, 2]> (r) i = Identity (t) [one] a = Conv <pads = [1, 1, 1, 1]> (x, i)
          [two] y = Conv <pads = [1, 1, 1, 1]> (a, v) }""",
        weights={"w": (9,), "to": ints(1, 1, 3, 3), "v": (2, 1, 3, 3)},
        int8="one two",
    ),
    "a weight that two convolutions share": Case(
        text="""net (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) { r = Relu (x)
          [one] a = Conv <pads = [1, 1, 1, 1]> (r, w) [two] b = Conv <pads = [1, 1, 1, 1]> (r, w)
          [add] y = Add (a, b) }""",
        weights={"w": (5, 3, 3, 3)},
        int8="one two add",
    ),
    "a shape with a square root": Case(
        text="""net (float[1, 3, 18, 18] x) => (float[1, 10, 64, 4] y) {  [conv1] a = Conv (x, w1, b1)
          [relu] r = Relu (a)
          s = Shape (r) g = Gather <axis = 0> (s, two) c = Cast <to = 7> (g) f = Cast <to = 1> (c) q = Sqrt (f)
          i = Cast <to = 7> (q) u = Unsqueeze (i, zero) to = Concat <axis = 0> (head, u) [reshape] t = Reshape (r, to)
          [conv2] y = Conv (t, w2, b2) }""",
        weights={
            "w1": (8, 3, 3, 3),
            "b1": (8,),
            "two": np.int64(2),
            "zero": ints(0),
            "head": ints(1, 8, -1),
            "w2": (10, 8, 1, 1),
            "b2": (10,),
        },
        int8="conv1 reshape conv2",
    ),
    "a shape from two Gathers": Case(
        text="""net (float[N, 3, 18, 18] x) => (float[A, B] y) { [conv] a = Conv (x, w1, b1) [relu] r = Relu (a)
          s1 = Shape (r) s2 = Shape (r) g1 = Gather (s1, zero) g2 = Gather (s2, one) u1 = Unsqueeze (g1, axis)
          u2 = Unsqueeze (g2, axis)
          to = Concat <axis = 0> (u1, u2) [pool] p = GlobalAveragePool (r) [reshape] f = Reshape (p, to)
          [gemm] l = Gemm (f, w2) [act] y = Relu (l) }""",
        weights={
            "w1": (8, 3, 3, 3),
            "b1": (8,),
            "zero": np.int64(0),
            "one": np.int64(1),
            "axis": ints(0),
            "w2": (8, 10),
        },
        int8="conv pool reshape gemm",
        fallen="act",
    ),
    "an input in double": Case(
        text="""net (double[1, 3, 10, 10] x) => (float[1, 8, 8, 8] y) { q = Mul (x, x) c = Cast <to = 1> (q)
          [conv] y = Conv (c, w, b) }""",
        weights={"w": (8, 3, 3, 3), "b": (8,)},
        int8="conv",
    ),
    "MatMul and Softmax": Case(
        text="net (float[1, 10] x) => (float[1, 5] y) { [product] l = MatMul (x, w) [softmax] y = Softmax (l) }",
        weights={"w": (10, 5)},
        int8="product",
    ),
    "a product of two inputs": Case(
        text="""net (float[10, 3] x, float[3, 10] y) => (float[10, 10] z) {  [product] l = MatMul (x, y)
          [softmax] z = Softmax (l) }""",
        int8="product",
        refused={"openvino-avx2": "saturates without VNNI"},
    ),
    "Attention of opset 23": Case(
        text="""net (float[1, 8, 16] q, float[1, 8, 16] k, float[1, 8, 16] v) => (float[1, 8, 16] y) {
          [op] y = Attention <q_num_heads = 2, kv_num_heads = 2> (q, k, v) }""",
        opset=23,
        refused=NOTHING,
    ),
    "Gemm with transposed weights": Case(
        text="""net (float[1, 10] x) => (float[1, 5] y) { i = Identity (x) [gemm] l = Gemm <transB = 1> (i, w)
          [softmax] y = Softmax (l) }""",
        weights={"w": (5, 10)},
        int8="gemm",
    ),
    "Embedding": Case(
        text="""net (int64[1, 4] ids) => (float[A, B, C] y) { i = Identity (table) [embed] e = Gather (i, ids)
          [pick] g = Gather <axis = 0> (e, zero) [product] y = MatMul (g, w) }""",
        weights={"table": (20, 20), "zero": ints(0), "w": (20, 10)},
        feeds={"ids": ints([3, 7, 0, 19])},
        int8="product",
    ),
    "two embeddings joined": Case(
        text="""net (float[1, 3] x) => (float[A, B, C] y) { c = Cast <to = 7> (x) [embed] e = Gather (table, c)
          [one] a = MatMul (x, w1) [shape] r = Reshape (a, to) [join] j = Concat <axis = 1> (e, r)
          [two] y = MatMul (j, w2) }""",
        weights={"table": (4, 5), "w1": (3, 10), "to": ints(1, -1, 5), "w2": (5, 8)},
        feeds={"x": np.float32([[1, 3, 2]])},
        int8="one shape join two",
    ),
    "rotary positions": Case(
        text="""net (int64[1, 8] x) => (float[1, 8, 5] s, float[1, 8, 5] c) { u = Unsqueeze (x, axis)
          f = Cast <to = 1> (u)
          r = Reshape (w, to) [product] m = MatMul (f, r) t = Transpose <perm = [0, 2, 1]> (m) j = Concat <axis = 1> (t)
          k = Transpose <perm = [0, 2, 1]> (j) s = Sin (k) c = Cos (k) }""",
        weights={"axis": ints(2), "w": np.linspace(0.1, 1, 5, dtype=np.float32), "to": ints(1, 1, 5)},
        feeds={"x": ints([0, 1, 2, 3, 4, 5, 6, 7])},
        int8="product",
    ),
    "positions of an encoder": Case(
        text="""net (float[1, 6, 2] x) => (float[1, 6, 8] y) { d = Mul (x, two) m = Sub (d, one)
          [product] p = MatMul (m, w)
          q = Mul (p, pi) s = Sin (q) c = Cos (q) y = Concat <axis = -1> (s, c) }""",
        weights={"two": np.float32(2), "one": np.float32(1), "pi": np.float32(1.5), "w": (2, 4)},
        int8="product",
    ),
    "a Cast that does nothing": Case(
        text="net (float[2, 10] x) => (float[2, 5] y) { c = Cast <to = 1> (x) [product] y = MatMul (c, w) }",
        weights={"w": (10, 5)},
        int8="product",
    ),
    "experts: a batch of matrices": Case(
        text="""net (float[2, 4, 8] x) => (float[2, 4, 8] y) {  [one] a = MatMul (x, w1) [relu] r = Relu (a)
          [two] y = MatMul (r, w2) }""",
        weights={"w1": (2, 8, 12), "w2": (2, 12, 8)},
        int8="one two",
    ),
    "gated products": Case(
        text="""net (float[1, 6, 8] x) => (float[1, 6, 8] y) { [gate] g = MatMul (x, wg) [up] u = MatMul (x, wu)
          s = Sigmoid (g) h = Mul (g, s) m = Mul (h, u) [down] y = MatMul (m, wd) }""",
        weights={"wg": (8, 16), "wu": (8, 16), "wd": (16, 8)},
        int8="gate up down",
    ),
    "RoiAlign": Case(
        text="""net (float[1, 3, 16, 16] x, float[2, 4] rois, int64[2] at) => (float[2, 5, 4, 4] y) {
          [before] a = Conv <pads = [1, 1, 1, 1]> (x, v)
          [op] b = RoiAlign <output_height = 4, output_width = 4, sampling_ratio = 2> (a, rois, at)
          [after] y = Conv (b, w) }""",
        weights={"v": (4, 3, 3, 3), "w": (5, 4, 1, 1)},
        feeds={"rois": np.float32([[1, 1, 9, 9], [2, 3, 14, 12]]), "at": ints(0, 0)},
        int8="before after",
    ),
    "If between convolutions": Case(
        text="""net (float[1, 3, 8, 8] x, bool c) => (float[1, 5, 6, 6] y) { [before] a = Conv (x, v)
          [choose] b = If (c) < then_branch = left () => (float[1, 4, 6, 6] t) { t = Relu (a) },
            else_branch = right () => (float[1, 4, 6, 6] e) { e = Neg (a) } > [after] y = Conv (b, w) }""",
        weights={"v": (4, 3, 3, 3), "w": (5, 4, 1, 1)},
        int8="before after",
    ),
    "Loop between convolutions": Case(
        text="""net (float[1, 3, 8, 8] x) => (float[1, 5, 6, 6] y) { [before] a = Conv (x, v)
          [repeat] b = Loop (three, yes, a) < body = step
            (int64 i, bool go, float[1, 4, 6, 6] p) => (bool on, float[1, 4, 6, 6] q) {
            on = Identity (go) q = Add (p, a) } > [after] y = Conv (b, w) }""",
        weights={"v": (4, 3, 3, 3), "w": (5, 4, 1, 1), "three": np.int64(3), "yes": np.array(True)},
        int8="before after",
    ),
    "If whose branches hold the products": Case(
        text="""net (float[1, 3, 8, 8] x, bool c) => (float[A, B, C, D] y) {
          y = If (c) < then_branch = left () => (float[1, 4, 6, 6] t) { t = Conv (x, v) },
            else_branch = right () => (float[1, 4, 6, 6] e) { e = Conv (x, u) } > }""",
        weights={"v": (4, 3, 3, 3), "u": (4, 3, 3, 3)},
        refused="2 products lie in the bodies",
    ),
}
