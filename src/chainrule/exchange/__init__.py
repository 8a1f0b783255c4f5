"""Models that travel: ONNX, PyTorch."""
