"""Passes over translated layers, which the readers of ONNX and TFLite files share.

`folding` folds batch norms and scalings into weights or into the input format, `fusing` fuses activation functions and
padding into the layers beside them, and `temporary_layers` defines the layers that exist only until they are folded.
"""
