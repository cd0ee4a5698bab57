"""The specification of a published data set, its manifest, and its prepared arrays."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from scaledis.datasets._builders import archives, download, records


@dataclasses.dataclass(frozen=True)
class Source:
    """A published data set: its files, and what they hold.

    Attributes:
      name: of the data set.
      version: of the prepared form, `major.minor.patch`; raise it if other bytes are written.
      files: the published files.
      factor_names, factor_values, image_shape: as in `Dataset`.
      count: N for a set with a table of factors; None for one on a full grid.
      copy: how TFDS stores the set; None if TFDS lacks it.
    """

    name: str
    version: str
    files: tuple[download.File, ...]
    factor_names: tuple[str, ...]
    factor_values: tuple[np.ndarray, ...]
    image_shape: tuple[int, int, int]
    count: int | None = None
    copy: records.Copy | None = None

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.factor_values)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (math.prod(self.factor_sizes) if self.count is None else self.count, *self.image_shape)

    def grid(self, index: np.ndarray) -> np.ndarray:
        """Image indices [n] -> factor indices int32 [n, F], on the full grid."""
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=-1).astype(np.int32)

    def content(self) -> dict[str, Any]:
        """The part of the manifest that does not depend on the files."""
        factors = dict(zip(self.factor_names, self.factor_sizes, strict=True))
        return {"version": self.version, "shape": list(self.shape), "factors": factors}

    def verified(self) -> dict[str, Any]:
        """The manifest if all published files have their checksums."""
        digests: dict[str, dict[str, str]] = {}
        for file in self.files:
            digests.setdefault(file.algorithm, {})[file.name] = file.digest
        return {**self.content(), **digests}

    def arrays(self, folder: Path) -> tuple[np.memmap, np.ndarray | None]:
        """The images of `folder`, a read-only memory map [N, H, W, C], and the table [N, F] of a set that has one.

        Raises OSError, ValueError or EOFError if they are missing or cut short, UserError if they have another shape.
        """
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        table = None if self.count is None else np.load(folder / "factors.npy", allow_pickle=False)
        if images.shape != self.shape or (table is not None and table.shape != (self.count, len(self.factor_sizes))):
            raise archives.mismatch(folder, "shape of the images", images.shape, self.shape)
        return images, table

    def is_whole(self, folder: Path) -> bool:
        """Whether `folder` has the arrays, and they are not cut short."""
        try:
            self.arrays(folder)
        except (OSError, ValueError, EOFError):
            return False
        return True
