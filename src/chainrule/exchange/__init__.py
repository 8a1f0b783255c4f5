"""Models that travel: ONNX, PyTorch."""

from chainrule.exchange.onnx_file import save_onnx, to_onnx

__all__ = ["save_onnx", "to_onnx"]
