"""The diagnosis of a network: what is wrong with it, its run or its data, with evidence and remedy."""

from chainrule.inspect.diagnosis.examine import diagnose
from chainrule.inspect.diagnosis.finding import Diagnosis, Finding
from chainrule.inspect.diagnosis.recorder import Recorder

__all__ = ["Diagnosis", "Finding", "Recorder", "diagnose"]
