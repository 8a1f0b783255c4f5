"""A file of events as TensorBoard reads them, written in the caller's thread, so that a disk without room is an error.

TensorBoard's own writer has a thread, whose failure comes as a traceback of that thread and as an OSError later.
"""

from __future__ import annotations

import os
import socket
import time
from itertools import count
from pathlib import Path
from typing import Any

from chainrule.errors import SettingError

_NUMBERS = count()


def need_tensorboard() -> None:
    """SettingError unless TensorBoard is installed."""
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError:
        raise SettingError(
            "TensorBoardLog needs TensorBoard", hint="pip install 'chainrule[tensorboard]'"
        ) from None


class EventFile:
    """An event file in a folder, under a name of its own; each method raises OSError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, step: int, values: dict[str, float]) -> None:
        """Write numbers by name, of one step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, wall_time=time.time(), summary=Summary(value=numbers)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())
        self._file.flush()
