"""A run's log, metrics.jsonl: one line of terms per `train.log_every` steps."""

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaledis import config as config_schema
from scaledis.errors import UserError
from scaledis.files import write_bytes


class Records:
    """A run's metrics.jsonl. Opened at the step of its checkpoint, it forgets what a killed process logged after it."""

    def __init__(self, path: Path, step: int):
        kept = [record for record in read_records(path) if record["step"] <= step]
        write_bytes(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        self._path = path

    def append(self, record: Mapping[str, Any]) -> None:
        try:
            with open(self._path, "a") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror}.") from error


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl that are records with a step; none if there is no file.

    A line that was cut short or damaged is left out: the others stand.
    """
    if not path.exists():
        return []
    records = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            step = record.get("step") if isinstance(record, dict) else None
            if isinstance(step, int) and not isinstance(step, bool) and 0 <= step <= config_schema.LARGEST:
                records.append({key: value for key, value in record.items() if _is_loggable(value)})
    return records


def _is_loggable(value: Any) -> bool:
    """Whether a logger could have written it: a finite number, or null for a term of a frozen run."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)
