"""Small graphs of both peers' tests in which tensors, weights or biases have several readers."""

from __future__ import annotations

import numpy as np

from tests.peers.case import Case, ints

BRANCHES = {
    "many branches": Case(
        text="""net (float[N, 3, 12, 12] x) => (float[A, B, C, D] y) {
          [stem] s = Conv <pads = [1, 1, 1, 1]> (x, w0, b0) [r0] r = Relu (s)
          [one] a = Conv (r, w1) [two] b = Conv <pads = [1, 1, 1, 1]> (r, w2, b2)
          [pool] p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r)
          [three] c = Conv (p, w3, b3) [join] j = Concat <axis = 1> (a, b, c) [rj] k = Relu (j)
          [last] y = Conv (k, w4, b4) }""",
        weights={
            "w0": (8, 3, 3, 3),
            "b0": (8,),
            "w1": (4, 8, 1, 1),
            "w2": (4, 8, 3, 3),
            "b2": (4,),
            "w3": (4, 8, 1, 1),
            "b3": (4,),
            "w4": (5, 12, 1, 1),
            "b4": (5,),
        },
        int8="stem one two pool three join last",
    ),
    "a split whose parts meet again": Case(
        text="""net (float[1, 6, 8, 8] x) => (float[1, 6, 6, 6] y) {  [stem] s = Conv (x, w0, b0)
          [split] a, b = Split <axis = 1> (s, parts)
          [left] l = Conv (a, w1, b1) [right] m = Conv (b, w2, b2) [join] j = Concat <axis = 1> (l, m)
          [add] k = Add (j, s) [last] y = Conv (k, w3) }""",
        weights={
            "w0": (6, 6, 3, 3),
            "b0": (6,),
            "parts": ints(3, 3),
            "w1": (3, 3, 1, 1),
            "b1": (3,),
            "w2": (3, 3, 1, 1),
            "b2": (3,),
            "w3": (6, 6, 1, 1),
        },
        int8="stem split left right join add last",
    ),
    "gates of channels": Case(
        text="""net (float[N, 4, 8, 8] x) => (float[A, B, C, D] y) {  [stem] a = Conv (x, w0, b0)
          [pool] p = GlobalAveragePool (a)
          [squeeze] q = Conv (p, w1, b1) [relu] r = Relu (q) [excite] e = Conv (r, w2, b2)
          [gate] g = Sigmoid (e) [mul] m = Mul (a, g) [last] y = Conv (m, w3, b3) }""",
        weights={
            "w0": (8, 4, 3, 3),
            "b0": (8,),
            "w1": (4, 8, 1, 1),
            "b1": (4,),
            "w2": (8, 4, 1, 1),
            "b2": (8,),
            "w3": (5, 8, 1, 1),
            "b3": (5,),
        },
        int8="stem pool squeeze excite gate mul last",
    ),
    "a pyramid": Case(
        text="""net (float[1, 3, 16, 16] x) => (float[A, B, C, D] y, float[E, F, G, H] z) {
          [down1] a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w0, b0)
          [down2] b = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w1, b1) [side1] c = Conv (a, w2, b2)
          [side2] d = Conv (b, w3, b3)
          [up] u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
            (d, roi, factor)
          [add] s = Add (c, u)
          [out1] y = Conv (s, w4, b4) [out2] z = Conv (d, w5, b5) }""",
        weights={
            "w0": (4, 3, 3, 3),
            "b0": (4,),
            "w1": (8, 4, 3, 3),
            "b1": (8,),
            "w2": (6, 4, 1, 1),
            "b2": (6,),
            "w3": (6, 8, 1, 1),
            "b3": (6,),
            "roi": np.zeros(0, np.float32),
            "factor": np.float32([1, 1, 2, 2]),
            "w4": (5, 6, 1, 1),
            "b4": (5,),
            "w5": (5, 6, 1, 1),
            "b5": (5,),
        },
        int8="down1 down2 side1 side2 up add out1 out2",
    ),
    "a detector's tail": Case(
        text="""net (float[1, 4, 8, 8] x) => (float[1, 128, 7] y) { [head] a = Conv (x, w, b) [fold] r = Reshape (a, to)
          [turn] t = Transpose <perm = [0, 1, 3, 4, 2]> (r) [parts] xy, wh, p = Split <axis = 4> (t, sizes)
          sx = Sigmoid (xy) gx = Add (sx, grid) ew = Exp (wh)
          sp = Sigmoid (p) [join] c = Concat <axis = 4> (gx, ew, sp) [flat] y = Reshape (c, out) }""",
        weights={
            "w": np.float32(np.random.default_rng(0).normal(size=(14, 4, 1, 1)) / 8),
            "b": (14,),
            "to": ints(1, 2, 7, 8, 8),
            "sizes": ints(2, 2, 3),
            "grid": np.float32(np.stack(np.meshgrid(range(8), range(8)), -1)[None, None]),
            "out": ints(1, 128, 7),
        },
        int8="head fold turn parts Sigmoid_0 Sigmoid_1",
        openvino="head fold turn parts Sigmoid_0 Sigmoid_1",
    ),
    "in place: Relu of an output that others read": Case(
        text="""net (float[N, 3, 8, 8] x) => (float[A, B, C, D] y, float[E, F, G, H] z) {
          [one] a = Conv (x, w1, b1) [relu] r = Relu (a)
          [two] y = Conv (r, w2, b2) [three] z = Conv (a, w3, b3) }""",
        weights={
            "w1": (4, 3, 3, 3),
            "b1": (4,),
            "w2": (5, 4, 1, 1),
            "b2": (5,),
            "w3": (5, 4, 1, 1),
            "b3": (5,),
        },
        int8="one two three",
    ),
    "a tensor that is an output and an input": Case(
        text="""net (float[N, 3, 8, 8] x) => (float[A, B, C, D] a, float[E, F, G, H] y) {
          [one] a = Conv (x, w1, b1) [two] y = Conv (a, w2, b2) }""",
        weights={"w1": (4, 3, 3, 3), "b1": (4,), "w2": (5, 4, 1, 1), "b2": (5,)},
        int8="one two",
    ),
    "one bias for two convolutions": Case(
        text="""net (float[N, 3, 8, 8] x) => (float[A, B, C, D] y, float[E, F, G, H] z) {
          [one] y = Conv (x, w1, b) s = Sigmoid (x) [two] z = Conv (s, w2, b) }""",
        weights={"w1": (4, 3, 3, 3), "w2": (4, 3, 1, 1), "b": (4,)},
        int8="one Sigmoid_0 two",
        openvino="one two",
        fallen="Sigmoid_0",
    ),
    "a bias that is computed": Case(
        text="""net (float[N, 3, 8, 8] x, float[4] b) => (float[A, B, C, D] y) {  [one] a = Conv (x, w1, b)
          [relu] r = Relu (a) [two] y = Conv (r, w2, b2) }""",
        weights={"w1": (4, 3, 3, 3), "w2": (5, 4, 1, 1), "b2": (5,)},
        feeds={"b": np.float32([-1, -0.3, 0.4, 1])},
        int8="one two",
    ),
    "weights that are computed": Case(
        text="""net (float[1, 3, 8, 8] x, float[4, 3, 3, 3] w) => (float[A, B, C, D] y) {  [one] a = Conv (x, w)
          [relu] r = Relu (a) [two] y = Conv (r, w2, b2) }""",
        weights={"w2": (5, 4, 1, 1), "b2": (5,)},
        int8="two",
    ),
}
