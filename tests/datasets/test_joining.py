"""Labels of a folder of images, in a CSV file by the names of the files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaledis import datasets
from scaledis.core.errors import UserError

FILES = ["a/0.png", "a/1.png", "b/0.png", "b/2.png"]


@pytest.fixture
def pictures(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in FILES:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "mine" / name)
    return tmp_path / "mine"


def load(pictures: Path, text: str, **options) -> datasets.Dataset:
    csv = pictures.parent / "labels.csv"
    csv.write_text(text)
    options = {"resolution": 16, "labels": str(csv), **options}
    return datasets.load("folder", pictures.parent / "data", path=pictures, **options)


def test_rows_are_joined_by_path_in_any_order(pictures, capsys):
    data = load(pictures, "file,hue,shape\nb/2.png,4,cube\na/0.png,7,ball\nb/0.png,4,cone\n a/1.png ,9,cube\n")
    assert data.factor_names == ("hue", "shape") and data.table is not None
    assert [values.tolist() for values in data.factor_values] == [[4, 7, 9], ["ball", "cone", "cube"]]
    found = data.factors(np.arange(4))
    assert found.dtype == np.int32 and found.tolist() == [[1, 0], [2, 2], [0, 1], [0, 2]]
    assert "image" not in capsys.readouterr().err.replace("preparing 4 images", "")


@pytest.mark.parametrize(
    "rows",
    [
        "1,5\n2,6\nb/0.png,7\na/0.png,8",
        "/home/mine/a/1.png,5\n2.png,6\nb/0,7\na/0,8",
        "mine/a/1,5\nmine/b/2,6\nmine/b/0,7\n./a/0,8",
    ],
)
def test_rows_are_joined_by_a_path_or_its_last_part_with_or_without_its_suffix(pictures, rows):
    assert load(pictures, f"id,hue\n{rows}\n").factors(np.arange(4))[:, 0].tolist() == [3, 0, 2, 1]


def test_a_row_of_another_folder_has_no_image(pictures, capsys):
    data = load(pictures, "file,hue\nc/1.png,5\nc/2,6\nb/1.png,7\na/1.png,8\nb/0.png,9\n")
    np.testing.assert_array_equal(data.factors(np.arange(4))[:, 0], [np.nan, 8, 9, np.nan])
    assert "labels.csv: 3 of 5 rows have no image, such as c/1.png\n" in capsys.readouterr().err


def test_a_row_of_the_folder_beside_this_one_has_no_image(tmp_path, capsys):
    for number in range(3):
        (tmp_path / "rec_1").mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 20 * number, np.uint8)).save(tmp_path / "rec_1" / f"{number}.png")
    rows = "x/rec_1/0.png,5\nrec_1/1.png,6\nrec_2/1.png,7\nrec_2/2.png,8\n"
    np.testing.assert_array_equal(
        load(tmp_path / "rec_1", f"file,hue\n{rows}").factors(np.arange(3))[:, 0], [5, 6, np.nan]
    )
    assert "labels.csv: 2 of 4 rows have no image, such as rec_2/1.png\n" in capsys.readouterr().err
    renamed = rows.replace("rec_1", "was").replace("rec_2/1", "rec_2/9")
    assert load(tmp_path / "rec_1", f"file,hue\n{renamed}").factors(np.arange(3))[:, 0].tolist() == [0, 1, 2]


def test_leading_zeros_are_part_of_a_name(tmp_path):
    (tmp_path / "mine").mkdir()
    for number in (1, 10):
        picture = np.full((16, 16, 3), 20 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / "mine" / f"{number:05}.png")
    assert load(tmp_path / "mine", "id,hue\n00010,5\n00001,7\n").factor_values[0].tolist() == [5, 7]


def test_what_is_unmatched_is_said_and_missing(pictures, capsys):
    data = load(pictures, "file,hue,shape\na/0.png,0.5,cube\ngone.png,3,ball\nb/2.png,,cone\nlost.png,3,ball\n")
    nan = np.nan
    np.testing.assert_array_equal(data.factors(np.arange(4)), [[0.5, 1], [nan, nan], [nan, nan], [nan, 0]])
    said = capsys.readouterr().err
    assert "labels.csv: 2 of 4 rows have no image, such as gone.png\n" in said
    assert "labels.csv: 2 of 4 images have no row, such as a/1.png\n" in said


def test_whole_numbers_of_which_some_are_missing_come_back(pictures):
    data = load(pictures, "file,hue\na/0.png,5\na/1.png,-2\nb/0.png,5\n")
    np.testing.assert_array_equal(data.factors(np.arange(4))[:, 0], [5, -2, 5, np.nan])


def test_sub_folders_and_labels_are_factors_together(pictures):
    data = load(pictures, "file,hue\na/0.png,5\na/1.png,6\nb/0.png,7\nb/2.png,8\n", folder_factor=True)
    assert data.factor_names == ("folder", "hue") and data.factors([2]).tolist() == [[1, 2]]
    with pytest.raises(UserError, match=r"list of names is \['folder', 'folder'\], expected 2 different strings"):
        load(pictures, "file,folder\na/0.png,5\n", folder_factor=True)


def test_images_are_not_read_again_for_other_labels_which_are_seen(pictures, capsys):
    found = [load(pictures, f"file,hue\na/0.png,{hue}\na/1.png,1\nb/0.png,1\nb/2.png,1\n") for hue in (2, 2, 3)]
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint
    assert capsys.readouterr().err.count("preparing 4 images") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,hue\nx.png,1\n", "labels.csv: no row has an image; 'file' is 'x.png', and an image is 'a/0.png'."),
        ("file,hue\na/0.png,1\na/0.png,2\n", "labels.csv: two rows have the image a/0.png; one row each."),
        ("file,hue\na/1.png,1\n1,2\n", "labels.csv: two rows have the image a/1.png"),
        ("file,hue\n0.png,1\n", "labels.csv: 'file' '0.png' may be a/0.png and b/0.png; give the path in the folder"),
        ("file,hue\nb/0.png,1\nmine/b/0,2\n", "labels.csv: two rows have the image b/0.png"),
        ("file;hue\na/0.png;1\n", "labels.csv: the header 'file;hue' is one cell; a comma stands between two cells"),
        ("file,hue\na/0.png,1,\n", "labels.csv: its rows have more cells than its header, file, hue."),
        ("file;hue\na/0.png;0,5\n", "labels.csv: the header 'file;hue' is one cell"),
        ("file,hue\n", "labels.csv: shape .0, 2.; two axes, neither empty, are needed"),
        ("", "labels.csv: not a CSV file with a header"),
    ],
)
def test_rows_that_cannot_be_joined(pictures, text, message):
    with pytest.raises(UserError, match=message) as error:
        load(pictures, text)
    assert "\n" not in str(error.value)


def test_a_file_of_labels_that_is_missing(pictures):
    with pytest.raises(UserError, match="nowhere.csv: not a CSV file with a header .there is no such file.."):
        load(pictures, "", labels="nowhere.csv")


def test_an_unreadable_image_is_named(pictures):
    (pictures / "c.png").write_text("no image")
    with pytest.raises(UserError, match="1 of 5 files .* cannot be read as images.*\n.*c.png"):
        load(pictures, "file,hue\na/0.png,1\n")
