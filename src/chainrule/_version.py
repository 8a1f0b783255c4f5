"""The version, read by the build and shown by ``chainrule.__version__``."""

__version__ = "0.1.0"
