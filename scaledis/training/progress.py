"""The lines and bars of progress while runs train: of a population, and of the whole sweep."""

import sys
import time
from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from scaledis.core.progress import EVERY, duration

SHOWN = {"loss_nats": "loss", "reconstruction_nats": "rec", "kl_nats": "kl"}  # terms of a line of progress


class Progress:
    """A bar on a terminal; elsewhere a line every half minute."""

    def __init__(self, title: str, start: int, total: int, quiet: bool = False):
        self._title, self._start, self._total = title, start, total
        self._began = self._said = time.monotonic()
        self._lines = not quiet and not sys.stderr.isatty()
        silent = quiet or self._lines
        self._bar = tqdm(total=total, initial=start, desc=title, unit="step", disable=silent)

    def close(self) -> None:
        self._bar.close()

    def update(self, step: int, terms: Mapping[str, np.ndarray]) -> None:
        going = {name: terms[name][np.isfinite(terms[name])] for name in SHOWN}  # of the runs that are not frozen
        shown = {SHOWN[name]: f"{each.mean():.1f}" if each.size else "diverged" for name, each in going.items()}
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix(shown)
        now = time.monotonic()
        if self._lines and (now - self._said > EVERY or step == self._total):
            rate = (step - self._start) / max(now - self._began, 1e-9)
            left = (self._total - step) / rate
            words = ", ".join(f"{name} {value}" for name, value in shown.items())
            speed = f"{rate:.1f} steps/s, {duration(left)} left"
            done = f"{self._title}: step {step:,} of {self._total:,}"
            print(f"{done}, {speed}, {words}", file=sys.stderr, flush=True)
            self._said = now


class SweepProgress:
    """Prints a line on a sweep of several populations, every half minute and at the end of each population.

    "12 of 90 runs done, 2 running, 1 failed, 8.2 steps/s in all, 3 h 20 min left": a step is that of a single run, and
    a failed run has diverged.
    """

    def __init__(self, sizes: Mapping[int, tuple[int, int]], done: str = "done"):
        """`sizes` is {number of a population: (runs, steps)}; `done` says what a run is at these steps, in words."""
        self._sizes, self._word = sizes, done
        self._left = {number: runs * steps for number, (runs, steps) in sizes.items()}  # steps
        self._done = self._failed = 0
        self._seconds, self._advanced = 0.0, 0  # between log lines, without the time of compiling
        self._last: tuple[float, int] | None = None  # (when, steps left) of the population that trains
        self._said = time.monotonic()
        self.began = False  # whether any population has trained

    def update(self, number: int, step: int, failed: int) -> None:
        """Records that population `number` is at `step`, and that `failed` of its runs have diverged."""
        self.began = True
        runs, steps = self._sizes[number]
        now, left = time.monotonic(), runs * (steps - step)
        if self._last:
            self._seconds += now - self._last[0]
            self._advanced += self._last[1] - left
        self._last, self._left[number] = (now, left), left
        if now - self._said > EVERY:
            self._say(runs - failed, failed)

    def end(self, number: int, failed: int) -> None:
        """Records the end of population `number`, and prints a line unless it was trained before."""
        self._done += self._sizes[number][0] - failed
        self._failed += failed
        self._left[number] = 0
        if self._last:
            self._say()
        self._last = None

    def _say(self, running: int = 0, failed: int = 0) -> None:
        if len(self._sizes) == 1:
            return
        total = sum(runs for runs, _ in self._sizes.values())
        words = [
            f"{self._done:,} of {total:,} runs {self._word}",
            f"{running} running",
            f"{self._failed + failed} failed",
        ]
        if self._advanced:
            rate = self._advanced / max(self._seconds, 1e-9)
            words += [f"{rate:,.1f} steps/s in all", f"{duration(sum(self._left.values()) / rate)} left"]
        tqdm.write(", ".join(words), file=sys.stderr)
        self._said = time.monotonic()
