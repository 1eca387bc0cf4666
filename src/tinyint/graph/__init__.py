"""The ONNX graph: reading, writing, walking, editing and preparing it."""
