"""Models that travel: ONNX, PyTorch."""

from chainrule.exchange.onnx_file import save_onnx, to_onnx
from chainrule.exchange.torch_modules import from_torch, to_torch

__all__ = ["from_torch", "save_onnx", "to_onnx", "to_torch"]
