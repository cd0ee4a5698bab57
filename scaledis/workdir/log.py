"""A run's log, metrics.jsonl: one line of terms per `train.log_every` steps.

Each line ends in two checksums: that of the line before, and its own, over the rest of the line and the first checksum.
"""

import contextlib
import hashlib
import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaledis.core import UserError, fields, files

MARK, DIGITS = f', "{files.SEAL}": "', 16  # the text before the two checksums of a line, and the length of one
LAST = 0.05  # the share of the lines over which a term is averaged
START = "0" * DIGITS  # stands for the line before the first


class Records:
    """A run's metrics.jsonl, opened at the step of a checkpoint. Later lines, by a killed process, are dropped."""

    def __init__(self, path: Path, step: int, *, needs_seals: bool = True):
        self._path, self._last = path, START
        kept = [record for record in read_records(path, step, needs_seals=needs_seals) if record["step"] <= step]
        files.write_bytes(path, "".join(map(self._line, kept)).encode())

    def append(self, record: Mapping[str, Any]) -> None:
        line = self._line(record)
        try:
            with open(self._path, "a") as file:
                file.write(line)
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror}.") from error

    def _line(self, record: Mapping[str, Any]) -> str:
        text, before = json.dumps(record, allow_nan=False)[:-1], self._last
        self._last = _checksum(before, text)
        return f'{text}{MARK}{before}{self._last}"}}\n'


def read_records(path: Path, reached: int = 0, *, needs_seals: bool = True) -> list[dict[str, Any]]:
    """Returns the records of a metrics.jsonl, its lines that have a step; [] if there is no file.

    Damaged lines and a last line that was cut short are left out. Damage is printed: a wrong checksum, a gap,
    or an end before `reached`.

    Args:
      path: the file.
      reached: the step of a checkpoint, which the run has logged.
      needs_seals: whether lines without checksums, as version 0.2 wrote them, are damaged.
    """
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    records, last, damage = [], START, ""
    has_seals = needs_seals or MARK in text
    for line in text.split("\n")[: -1 if has_seals else None]:
        if has_seals:
            line, _, seals = line.rpartition(MARK)
            before, own = seals[:DIGITS], seals[DIGITS:-2]
            if own != _checksum(before, line) or seals[-2:] != '"}':
                damage = damage or "a line is not what was written"
                last = ""
                continue
            if last not in (before, ""):
                damage = damage or "lines are missing"
            line, last = line + "}", own
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            step = record.get("step") if isinstance(record, dict) else None
            if isinstance(step, int) and not isinstance(step, bool) and 0 <= step <= fields.LARGEST:
                records.append({key: value for key, value in record.items() if _is_loggable(value)})
    ended = records[-1]["step"] if records else 0
    if ended < reached:
        damage = damage or f"it ends at step {ended}, before the checkpoint of step {reached}"
    if damage:
        print(f"{path} is damaged: {damage}; its other lines are used.", file=sys.stderr)
    return records


def last_mean(records: Sequence[Mapping[str, Any]], term: str) -> float | None:
    """Returns the mean of a term over the last log lines; None if one of them lacks it, as those of a frozen run do."""
    values = [record.get(term) for record in records[-max(1, round(LAST * len(records))) :]]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _checksum(before: str, line: str) -> str:
    return hashlib.sha256((before + line).encode()).hexdigest()[:DIGITS]


def _is_loggable(value: Any) -> bool:
    """Returns whether a value is a finite number, or the null of a frozen run."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)
