"""The ways on which an object gets to another place."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import joblib
from joblib.externals.loky.backend.reduction import dumps as cloudpickled


def through_joblib(thing: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


def out_of_band(thing: Any) -> Any:
    """As dask and Ray do: arrays travel apart, and arrive as bytes that cannot be written to."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(thing, 5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])


WAYS = {f"pickle {n}": (lambda x, n=n: pickle.loads(pickle.dumps(x, n))) for n in (2, 3, 4, 5)} | {
    "out of band": out_of_band,
    "cloudpickle": lambda x: pickle.loads(cloudpickled(x)),
    "joblib": through_joblib,
    "deepcopy": copy.deepcopy,
}

#: without the protocols that differ in no way that matters to us
FEW = {name: way for name, way in WAYS.items() if name not in ("pickle 3", "pickle 4")}
