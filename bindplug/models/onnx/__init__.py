"""Encoders as ONNX: written by torch's exporter, run by onnxruntime without torch."""
