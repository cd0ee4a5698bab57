"""CelebA from small files of the published layout."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets import Options, celeba
from scaledis.datasets._builders import prepare
from scaledis.datasets.base import sampling
from tests.datasets import agrees, place, raises, reduced

RNG = np.random.default_rng(0)


def faces(
    size: tuple[int, int] = (178, 218), absent: int = 0, splits: tuple[int, int, int] = (5, 2, 2)
) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """The three files; the photographs as they are decoded [n, 218, 178, 3], and the attributes [n, 40]."""
    count = sum(splits)
    photographs, buffer = [], io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("img_align_celeba/", b"")
        for number in (3, 1, 2, *range(4, count + 1)):
            pixels = RNG.integers(0, 256, (7, 7, 3), np.uint8)
            jpeg = io.BytesIO()
            Image.fromarray(pixels).resize(size).save(jpeg, "JPEG")
            if number != absent:
                archive.writestr(f"img_align_celeba/{number:06}.jpg", jpeg.getvalue())
            photographs.append((number, np.asarray(Image.open(jpeg))))
    present = RNG.integers(0, 2, (count, 40))
    rows = [f"{n:06}.jpg " + " ".join(f"{2 * x - 1:2d}" for x in row) for n, row in enumerate(present, start=1)]
    attributes = "\n".join([str(count), " ".join(celeba.ATTRIBUTES) + " ", *rows, ""])
    partition = "".join(f"{n:06}.jpg {split}\n" for n, split in enumerate(np.repeat(range(3), splits), start=1))
    images = [image for _, image in sorted(photographs, key=lambda pair: pair[0])]
    return [buffer.getvalue(), attributes.encode(), partition.encode()], np.stack(images), present


@pytest.fixture
def face_splits(monkeypatch):
    monkeypatch.setattr(celeba, "SPLITS", {"train": range(5), "validation": range(5, 7), "test": range(7, 9)})


def test_celeba(tmp_path, monkeypatch, face_splits):
    monkeypatch.setattr(celeba, "ROWS", 4)
    files, photographs, present = faces()
    source = place(celeba.SOURCE, tmp_path, files, count=9)
    data = prepare.load(source, celeba.read, tmp_path, Options())
    agrees(data, np.stack([reduced(np.array(image[35:183, 15:163])) for image in photographs]), present)
    np.testing.assert_array_equal(data.factors(celeba.SPLITS["test"]), present[7:])
    assert data.factor_names[20] == "Male"
    monkeypatch.setattr(celeba, "SOURCE", source)
    faces_of = celeba.load(tmp_path, Options())
    np.testing.assert_array_equal(faces_of.held_out, [5, 6, 7, 8])
    assert sampling.share(faces_of, Data()) == 4 / 9 and sampling.share(faces_of, Data(held_out=0.1)) == 1 / 9


def test_celeba_is_not_fetched(tmp_path):
    with pytest.raises(UserError, match=r"manual/img_align_celeba.zip .*: by hand, from https://"):
        datasets.load("celeba", tmp_path, download=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda zip_, a, p: (zip_, a.replace(b"Male", b"Mail"), p), "list_attr_celeba.txt: list of attributes is "),
        (lambda zip_, a, p: (zip_, a[: a.rindex(b"000009")], p), "number of images is 8, expected 9"),
        (lambda zip_, a, p: (zip_, a.replace(b"000004.jpg", b"000005.jpg"), p), "line of image 3 is '000005.jpg "),
        (lambda zip_, a, p: (zip_, a[:-3] + b" 0\n", p), "line of image 8 is '000009.jpg "),
        (lambda zip_, a, p: (zip_, a, p.replace(b"5.jpg 0", b"5.jpg 1")), "split of 000005.jpg is 1, expected 0"),
        (lambda *_: faces(absent=4)[0], "img_align_celeba/000004.jpg is missing, expected a photograph"),
        (
            lambda *_: faces(size=(64, 64))[0],
            r"img_align_celeba/000001.jpg: size is \(64, 64\), expected \(178, 218\)",
        ),
        (lambda zip_, a, p: (zip_.replace(b"\xff\xd8\xff", b"\xff\xd9\xff"), a, p), "celeba.zip cannot be read: "),
    ],
)
def test_celeba_of_something_else(tmp_path, face_splits, change, message):
    source = place(celeba.SOURCE, tmp_path, list(change(*faces()[0])), count=9)
    raises(source, celeba.read, tmp_path, message)
