"""The ray caster of `rendered`. 3dshapes_real.npz: four images of 3DShapes (Apache-2.0 licence) and their factors."""

from pathlib import Path

import numpy as np
import pytest

from scaledis.datasets import rendered
from scaledis.datasets._builders import scene

REAL = Path(__file__).parent / "3dshapes_real.npz"
SCALES, ORIENTATIONS = rendered.FACTORS["scale"], rendered.FACTORS["orientation"]


def test_ray_casting_is_deterministic():
    np.testing.assert_array_equal(*(scene.shading(-13.0, [(1.0, "capsule")]) for _ in range(2)))


def signed_distance(shape, scale, points):
    """Of points [..., 3] to the surface of the object, negative inside."""
    radius, half = (scale * size for size in scene.SHAPE_SIZES[shape])
    across, z = np.linalg.norm(points[..., :2], axis=-1), points[..., 2]
    if shape == "cube":
        offset = np.abs(points - [0, 0, half]) - [radius, radius, half]
    elif shape == "cylinder":
        offset = np.stack([across - radius, np.abs(z - half) - half], axis=-1)
    else:
        return np.hypot(across, z - np.clip(z, radius, radius + 2 * half)) - radius
    return np.linalg.norm(np.maximum(offset, 0), axis=-1) + np.minimum(offset.max(axis=-1), 0)


@pytest.mark.parametrize("shape", scene.SHAPES)
def test_rays_meet_the_surface_first_where_the_distance_says(shape):
    rng = np.random.default_rng(0)
    scale, origin = 1.1, np.float32([1.3, -2.2, 0.8])
    rays = (np.float32([0, 0, 0.4]) + rng.normal(0, 0.4, (2000, 3)) - origin).astype(np.float32)
    distance = scene._distance(shape, scale, origin, rays)
    hit = np.isfinite(distance)
    assert 200 < hit.sum() < 1800
    points = origin + distance[hit, None] * rays[hit]
    np.testing.assert_allclose(signed_distance(shape, scale, points), 0, atol=1e-4)
    free = np.where(hit, distance, 2)  # until there a ray has met nothing; at 2 it is behind the object
    before = np.linspace(0, 0.999, 200)[:, None] * free
    assert signed_distance(shape, scale, origin + before[..., None] * rays).min() > -1e-3

    normals, step = scene._normals(shape, scale, points), 1e-3 * np.eye(3)
    outside = points + 0.01 * normals
    ahead, behind = (signed_distance(shape, scale, outside + sign * step[:, None]) for sign in (1, -1))
    gradient = (ahead - behind).T / 2e-3
    smooth = np.abs(np.linalg.norm(gradient, axis=1) - 1) < 1e-3  # not across an edge
    assert smooth.mean() > 0.9
    np.testing.assert_allclose(normals[smooth], gradient[smooth], atol=0.05)


def test_downsampling_keeps_a_flat_map_and_overshoots_at_an_edge():
    fine = 64 * scene.SUPERSAMPLING
    flat, edge = np.full((fine, fine), 0.7, np.float32), np.zeros((fine, fine), np.float32)
    edge[:, fine // 2 :] = 1
    flat, edge = scene._downsample(np.stack([flat.ravel(), edge.ravel()]))
    np.testing.assert_allclose(flat, 0.7, rtol=1e-5)
    np.testing.assert_allclose(edge[:, :28], 0, atol=1e-5)
    np.testing.assert_allclose(edge + edge[:, ::-1], 1, atol=1e-5)
    assert 1.01 < edge.max() < 1.1


@pytest.mark.parametrize("number", range(4))
def test_real_image_is_closest_to_its_own_geometry(number):
    with np.load(REAL, allow_pickle=False) as file:
        real, (*hues, scale, shape, azimuth) = file["images"][number], file["factors"][number]
    solids = [(scale, shape), (scale, (shape + 1) % 4), (scale, (shape + 2) % 4), (scale, (shape + 3) % 4)]
    solids += [(near, shape) for near in (scale - 1, scale + 1) if 0 <= near < 8]
    colors = np.concatenate([rendered.COLORS[hues], [rendered.SKY, rendered.WHITE]])
    errors = {}
    for near in (azimuth, azimuth - 1 if azimuth else azimuth + 1):
        maps = scene.shading(ORIENTATIONS[near], [(SCALES[s], scene.SHAPES[k]) for s, k in solids])
        images = np.clip(np.einsum("nmyx,mc->nyxc", maps, colors), 0, 255)
        errors |= {(*solid, near): np.abs(i - real).mean() for solid, i in zip(solids, images, strict=True)}
    assert min(errors, key=errors.get) == (scale, shape, azimuth)
    assert errors[scale, shape, azimuth] < 2.0
