"""Removal of the quantization of a quantized ONNX file, so that it is read as a float network.

1. `names` lists the operators of other domains that carry quantization.
2. `float_graph` holds the pass: it replaces every node that quantizes, dequantizes or computes with codes by nodes that
   compute with real numbers. Its table refers to the functions in `linear`, `qoperators`, `dynamic` and `qonnx`.
3. `rewriting` is the state of the pass; `parameters` checks scales and zero points and converts constants.
"""
