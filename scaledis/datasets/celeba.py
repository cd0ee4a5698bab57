"""CelebA (Liu, Luo, Wang and Tang, 2015): 202,599 aligned photographs of faces with 40 attributes, each yes or no.

Images are in the order of their file names, in which the official splits follow one another: their indices are
`SPLITS[name]`. Of 178x218 pixels the central 148x148 are reduced to 64x64 by Pillow's Lanczos filter; other works crop
differently. A factor is 1 if its attribute is present.

The user places the published files in DIRECTORY/manual, because their links are not reliable. The images of a TFDS
copy are in TFDS's order within each split.
"""

import dataclasses
import io
import itertools
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from scaledis.datasets import Dataset, Options
from scaledis.datasets._builders import archives, download, prepare, records

PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
FILES = (
    ("img_align_celeba.zip", 1_443_490_838, "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74"),
    ("list_attr_celeba.txt", 26_721_026, "f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0"),
    ("list_eval_partition.txt", 2_836_386, "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7"),
)
ATTRIBUTES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
).split()
SPLITS = {"train": range(162_770), "validation": range(162_770, 182_637), "test": range(182_637, 202_599)}
CROP = (15, 35, 163, 183)  # left, upper, right, lower
SOURCE = prepare.Source(
    name="celeba",
    version="1.0.0",
    files=tuple(download.File(name, PAGE, size, sha256, fetchable=False) for name, size, sha256 in FILES),
    factor_names=tuple(ATTRIBUTES),
    factor_values=(np.arange(2),) * len(ATTRIBUTES),  # absent, present
    image_shape=(64, 64, 3),
    count=202_599,
    copy=records.Copy(
        name="celeb_a",
        factors=tuple(f"attributes/{name}" for name in ATTRIBUTES),
        splits=("train", "validation", "test"),
        image=lambda photograph: _reduced("celeb_a", Image.fromarray(photograph)),
    ),
)
OPTIONS = prepare.OPTIONS_WITH_COPY
ROWS = 2000  # decoded at once


def load(directory: Path, options: Options) -> Dataset:
    """CelebA below `directory`; images [64, 64, 3], with a table, validation and test held out.

    Nothing can be fetched: the user has to place the files. Raises what `prepare.load` raises.
    """
    dataset = prepare.load(SOURCE, read, directory, options)
    return dataclasses.replace(dataset, held_out=np.asarray([*SPLITS["validation"], *SPLITS["test"]], np.int32))


def read(source: prepare.Source, paths: list[Path]) -> records.Blocks:
    """Blocks (images uint8 [n, 64, 64, 3], factor indices int32 [n, F]) of a zip file and its two lists.

    Raises UserError for a list that is not of these images, a split unlike `SPLITS`, and a missing or other image.
    """
    photographs, attributes, partition = paths
    count = source.shape[0]
    names = [f"{number:06}.jpg" for number in range(1, count + 1)]
    _, header, *lines = attributes.read_text().splitlines()
    if header.split() != list(source.factor_names):
        raise archives.mismatch(attributes, "list of attributes", header.split(), list(source.factor_names))
    present = _table(attributes, lines, names, ["-1", "1"], len(source.factor_names))
    (splits,) = _table(partition, partition.read_text().splitlines(), names, ["0", "1", "2"], 1).T
    expected = np.repeat(np.arange(len(SPLITS)), [len(split) for split in SPLITS.values()])
    if (wrong := splits != expected).any():
        row = wrong.argmax()
        raise archives.mismatch(partition, f"split of {names[row]}", splits[row], expected[row])

    def face(member: str) -> np.ndarray:
        with Image.open(io.BytesIO(archive.read(member))) as image:
            return _reduced(f"{photographs}/{member}", image)

    with archives.reading(photographs), zipfile.ZipFile(photographs) as archive, ThreadPoolExecutor() as pool:
        known = set(archive.namelist())
        for start in range(0, count, ROWS):
            members = [f"img_align_celeba/{name}" for name in names[start : start + ROWS]]
            for member in itertools.filterfalse(known.__contains__, members):
                raise archives.mismatch(photographs, member, "missing", "a photograph")
            yield np.stack(list(pool.map(face, members))), present[start : start + ROWS]


def _table(path: Path, lines: list[str], names: list[str], words: list[str], columns: int) -> np.ndarray:
    """Lines of a name and `columns` words -> int32 [N, columns], the index of each word in `words`."""
    if len(lines) != len(names):
        raise archives.mismatch(path, "number of images", len(lines), len(names))
    table = np.empty((len(names), columns), np.int32)
    for row, (line, name) in enumerate(zip(lines, names, strict=True)):
        found, *values = line.split()
        if found != name or len(values) != columns or not set(values) <= set(words):
            raise archives.mismatch(path, f"line of image {row}", repr(line), f"{name} and {columns} of {words}")
        table[row] = [words.index(value) for value in values]
    return table


def _reduced(where: str, photograph: Image.Image) -> np.ndarray:
    """A photograph of 178x218 -> uint8 [64, 64, 3]. Raises UserError for another size."""
    if photograph.size != (178, 218):
        raise archives.mismatch(where, "size", photograph.size, (178, 218))
    face = photograph.convert("RGB").crop(CROP)
    return np.asarray(face.resize((64, 64), Image.Resampling.LANCZOS))
