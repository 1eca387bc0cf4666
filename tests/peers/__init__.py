"""What the tests of two peers build models of, built anew and quantized here.

ONNX Runtime (onnxruntime/test/python/quantization):

* argmax, concat, flatten, gather, global average pool, instance norm, maxpool, pad, pooling, relu, reshape,
  resize, slice, softmax, split, squeeze, topk, transpose, where, conv, conv_transpose, gemm, matmul: `operators.py`,
  `products.py`
* attention, embed_layernorm, skip_layer_norm, bias_gelu, lstm, fusions (Gelu, norms): `products.py`
* conv, gemm and matmul dynamic, embeddings, lstm, attention and matmul weight only: `test_without_data.py`
* qdq, symmetric flags, excluded nodes, opsets, external data, loss debug, overflowing biases, tiny ranges:
  `test_options.py`, `products.py`

NNCF (tests/onnx):

* the synthetic models of models.py: `edges.py`
* shared weights, splits, pyramids, tails of detectors: `branches.py`; opsets: `test_options.py`
"""
