import colorsys

import jax
import numpy as np
import pytest

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets import Dataset, rendered
from scaledis.datasets._builders import scene

SIZES = (10, 10, 10, 8, 4, 15)
SCALES, ORIENTATIONS = rendered.FACTORS["scale"], rendered.FACTORS["orientation"]
GEOMETRIES = [(4, shape, 3) for shape in range(4)] + [(5, 2, 3), (4, 2, 12)]  # the only ones rendered here
SPHERE = (4, 2, 3)


def shading(scale, shape, orientation):
    return scene.shading(ORIENTATIONS[orientation], [(SCALES[scale], scene.SHAPES[shape])])[0]


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The data set with the maps of GEOMETRIES only; all others are black."""
    maps = np.zeros(rendered.MAPS_SHAPE, np.float16)
    for geometry in GEOMETRIES:
        maps[np.ravel_multi_index(geometry, SIZES[3:])] = shading(*geometry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendered, "_cached_maps", lambda directory: maps)
        return datasets.load("rendered", "unused")


@pytest.fixture
def renders(monkeypatch):
    """Replaces ray casting by a ramp; the list grows by one at every call."""
    calls = []

    def ramp():
        calls.append(None)
        return np.linspace(0, 1, np.prod(rendered.MAPS_SHAPE), dtype=np.float16).reshape(rendered.MAPS_SHAPE)

    monkeypatch.setattr(rendered, "_render", ramp)
    return calls


def image(data, *factors):
    return data.images(data.index([factors]))[0]


def maps_of(data, geometry):
    return np.asarray(data.source[np.ravel_multi_index(geometry, SIZES[3:])], np.float32)


def test_grid_is_that_of_3dshapes(data):
    assert data.factor_names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert data.factor_sizes == SIZES and data.size == 480_000 and data.image_shape == (64, 64, 3)
    np.testing.assert_allclose(data.factor_values[0], np.arange(10) / 10)
    np.testing.assert_allclose(data.factor_values[3][[0, -1]], [0.75, 1.25])
    np.testing.assert_allclose(np.diff(data.factor_values[5]), 60 / 14)


def test_index_and_factors_are_inverse(data):
    index = np.array([0, 1, 15, 60, 480, 48_000, 479_999])
    expected = [
        (0, 0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 1, 0),
        (0, 0, 0, 1, 0, 0),
        (0, 0, 1, 0, 0, 0),
        (1, 0, 0, 0, 0, 0),
        (9, 9, 9, 7, 3, 14),
    ]
    np.testing.assert_array_equal(data.factors(index), expected)
    np.testing.assert_array_equal(data.index(expected), index)
    with pytest.raises(ValueError):
        data.index([(0, 0, 0, 8, 0, 0)])


def test_images_equal_a_slow_composition(data):
    factors = [(0, 3, 7, *GEOMETRIES[0]), (9, 5, 1, *SPHERE)]
    for row, found in zip(factors, data.images(data.index(factors)), strict=True):
        maps = maps_of(data, row[3:])
        colors = [[255 * channel for channel in colorsys.hsv_to_rgb(hue / 10, 1, 1)] for hue in row[:3]]
        colors += [[153, 226, 249], [255, 255, 255]]
        for y in range(0, 64, 3):
            for x in range(64):
                for c in range(3):
                    level = sum(float(maps[m, y, x]) * colors[m][c] for m in range(5))
                    assert abs(found[y, x, c] - min(max(level, 0), 255)) <= 0.501


def test_colors_of_sky_and_hues_of_room(data):
    for hue in range(10):
        pixels = image(data, hue, (hue + 3) % 10, 0, *SPHERE)
        assert (pixels[:6] == (153, 226, 249)).all()
        for (y, x), expected in (((46, 60), hue), ((28, 50), (hue + 3) % 10)):  # floor far right, back wall
            found, saturation, value = colorsys.rgb_to_hsv(*pixels[y, x] / 255)
            assert abs((found - expected / 10 + 0.5) % 1 - 0.5) < 0.02
            assert saturation > 0.95 and 0.5 < value <= 1


@pytest.mark.parametrize("factor", range(3))
def test_a_hue_changes_only_its_material(data, factor):
    factors = [1, 4, 7, *SPHERE]
    before = image(data, *factors)
    factors[factor] = 2
    change = np.abs(image(data, *factors).astype(int) - before).max(axis=-1)
    shown = maps_of(data, SPHERE)[factor]
    assert change[shown > 0.3].all()
    assert (change <= 255 * np.abs(shown) + 1).all()  # each of the two roundings is half a level


def test_scale_leaves_the_room_far_from_the_object(data):
    before, after = image(data, 1, 4, 7, *SPHERE), image(data, 1, 4, 7, 5, 2, 3)
    changed = (before != after).any(axis=-1)
    assert changed[20:60, 12:56].any()
    changed[20:60, 12:56] = False
    assert not changed.any()


def test_shape_leaves_walls_and_sky_beside_the_object(data):
    images = [image(data, 1, 4, 7, 4, shape, 3) for shape in range(4)]
    for other in images[1:]:
        np.testing.assert_array_equal(other[:, :12], images[0][:, :12])
        assert (other != images[0]).any()


def test_orientation_turns_the_room_and_keeps_the_sphere(data):
    before, after = maps_of(data, SPHERE), maps_of(data, (4, 2, 12))
    assert (before[scene.OBJECT] > 0.5).sum() > 300
    assert ((before[scene.OBJECT] > 0.5) != (after[scene.OBJECT] > 0.5)).sum() < 10


def test_gather_inside_jit_and_vmap(data):
    index = np.random.default_rng(0).integers(0, data.size, (3, 5)).astype(np.int32)
    together = jax.jit(jax.vmap(data.gather, in_axes=(None, 0)))(data.source, index)
    assert together.shape == (3, 5, 64, 64, 3) and together.dtype == np.uint8
    np.testing.assert_array_equal(together, np.stack([data.images(row) for row in index]))


def test_second_load_reads_the_cache(tmp_path, renders):
    first, second = (datasets.load("rendered", tmp_path / "new" / "folder") for _ in range(2))
    assert len(renders) == 1
    np.testing.assert_array_equal(first.source, second.source)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [f"rendered_v{rendered.VERSION}.npz"]


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("not an archive")


def other_shape(path):
    np.savez(path, maps=np.zeros((480, 5, 32, 32), np.float16))


def other_key(path):
    np.savez(path, images=np.zeros(3))


def bare_array(path):
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, empty, text, other_shape, other_key, bare_array])
def test_damaged_or_foreign_cache_is_rebuilt(tmp_path, renders, damage):
    good = datasets.load("rendered", tmp_path)
    (path,) = tmp_path.iterdir()
    damage(path)
    np.testing.assert_array_equal(datasets.load("rendered", tmp_path).source, good.source)
    datasets.load("rendered", tmp_path)
    assert len(renders) == 2 and list(tmp_path.iterdir()) == [path]


def test_unwritable_directory_is_named_before_any_work(tmp_path, renders):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="data.directory.*file"):
        datasets.load("rendered", tmp_path / "file" / "folder")
    assert not renders


def test_interrupted_build_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(rendered, "_render", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        datasets.load("rendered", tmp_path)
    assert not list(tmp_path.iterdir())


def test_whole_render_has_every_geometry_in_its_place(monkeypatch, capsys):
    def fake(azimuth, solids):
        return np.stack([np.full(rendered.MAPS_SHAPE[1:], azimuth + 100 * scale) for scale, _ in solids])

    monkeypatch.setattr(scene, "shading", fake)
    maps = rendered._render()
    assert capsys.readouterr().err.count("\n") == 1
    found = maps[:, 0, 0, 0].reshape(8, 4, 15).astype(np.float32)
    expected = 100 * SCALES[:, None, None] + ORIENTATIONS + np.zeros((1, 4, 1))
    np.testing.assert_allclose(found, expected, atol=0.1)
