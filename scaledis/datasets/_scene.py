"""The room of the `rendered` data set: a numpy ray caster that turns one geometry into shading maps of its materials."""

from collections.abc import Sequence

import numpy as np

MATERIALS = FLOOR, WALL, OBJECT, SKY, WHITE = range(5)
SHAPES = ("cube", "cylinder", "sphere", "capsule")
SIZE = 64  # pixels
SUPERSAMPLING = 4  # rays per pixel and axis

FILTER_WIDTH = 1.0  # pixels
FILTER_OVERSHOOT = 0.5

# Lengths are in world units: the floor is z = 0, the room is square and centred on the origin, the object stands there.
FOCAL_LENGTH = 69.9  # pixels
CAMERA_RADIUS = 2.59
CAMERA_HEIGHT = 0.755
ROOM_HALF_WIDTH = 3.5
WALL_HEIGHT = 2.0

# (radius or half-side, half-length of the straight part) at scale 1; a sphere is a capsule with no straight part.
SHAPE_SIZES = {"cube": (0.35, 0.35), "cylinder": (0.355, 0.355), "sphere": (0.4265, 0.0), "capsule": (0.327, 0.327)}

# One spotlight high above the floor, straight down, which casts the shadow; one headlight along the camera's view.
LIGHT_POSITION = np.float32([-1.52, 0.58, 7.58])
LIGHT_EXPONENT = 9.7  # of the cosine off the spotlight's axis
# Gains multiply the colour of a material; beyond 1 they saturate, as in the original.
AMBIENT = 0.342
HEADLIGHT = 0.58
LIGHT = 0.96
HIGHLIGHT = 0.146  # white on the object, wherever the spotlight reaches it
HIGHLIGHT_SLOPE, HIGHLIGHT_OFFSET = 18.0, 0.64  # of the highlight's edge, against the cosine to the spotlight


def shading(azimuth: float, solids: Sequence[tuple[float, str]]) -> np.ndarray:
    """Shading maps float32 [n, 5, 64, 64] of n solids (scale, shape) seen from the angle `azimuth` in degrees.

    An image is the maps times the colours of MATERIALS, summed, clipped to [0, 255].
    """
    camera, rays = _camera(np.deg2rad(azimuth))
    view = camera * np.float32([1, 1, 0]) / CAMERA_RADIUS  # towards the camera, which looks horizontally
    distance, normals = _room(camera, rays)
    points = camera + distance[:, None] * rays
    material = np.where(points[:, 2] > WALL_HEIGHT, SKY, np.where(normals[:, 2] > 0, FLOOR, WALL))
    dark, light, _ = _gains(points, normals, view)
    empty = np.where(material == np.arange(len(MATERIALS))[:, None], np.where(material == SKY, 1, dark + light), 0)
    floor = np.flatnonzero(material == FLOOR)
    images = []
    for scale, shape in solids:
        maps = empty.copy()
        shadow = floor[np.isfinite(_distance(shape, scale, points[floor], LIGHT_POSITION - points[floor]))]
        maps[FLOOR, shadow] = dark[shadow]
        distance = _distance(shape, scale, camera, rays)
        seen = np.flatnonzero(np.isfinite(distance))
        surface = camera + distance[seen, None] * rays[seen]
        object_dark, object_light, highlight = _gains(surface, _normals(shape, scale, surface), view)
        maps[:, seen] = 0
        maps[OBJECT, seen], maps[WHITE, seen] = object_dark + object_light, highlight
        images.append(_downsample(maps))
    return np.stack(images)


def _camera(azimuth):
    """Position [3] and ray directions [P, 3], rows from the top, of the camera at `azimuth` radians on its ring."""
    steps = ((np.arange(SIZE * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - SIZE / 2) / FOCAL_LENGTH
    down, right = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    sin, cos = np.sin(azimuth), np.cos(azimuth)
    rays = np.stack([right * cos - sin, right * sin + cos, -down], axis=-1)
    return np.float32([CAMERA_RADIUS * sin, -CAMERA_RADIUS * cos, CAMERA_HEIGHT]), rays.astype(np.float32)


def _room(camera, rays):
    """Distance [P] to the floor or the nearest wall from inside, and its normal [P, 3]."""
    faces = np.float32([[0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])  # floor, then walls, normals inwards
    offsets = np.float32([0, *4 * [ROOM_HALF_WIDTH]])
    with np.errstate(divide="ignore"):
        distances = -(faces @ camera + offsets) / (rays @ faces.T)
    distances = np.where(distances > 0, distances, np.inf)
    nearest = distances.argmin(axis=1)
    return distances.min(axis=1), faces[nearest]


def _distance(shape, scale, origin, rays):
    """Distance [P] along the rays to the object, in units of the ray's length; infinite for a miss."""
    near = _near(shape, scale, origin, rays)
    distance = np.full(len(rays), np.inf, np.float32)
    distance[near] = _entry(shape, scale, origin[near] if origin.ndim == 2 else origin, rays[near])
    return distance


def _near(shape, scale, origin, rays):
    """Indices of the rays that cross the ball around the object: a cheap first test, most rays miss it."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    middle = half if shape in ("cube", "cylinder") else radius + half
    offset = origin - np.float32([0, 0, middle])
    b = (rays * offset).sum(-1)
    return np.flatnonzero(b * b > _dot(rays, rays) * ((offset * offset).sum(-1) - 2 * radius**2 - middle**2))


def _entry(shape, scale, origin, rays):
    """`_distance` by intersecting spans: each shape is made of slabs, a ball and an upright cylinder."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    if shape == "cube":
        slabs = [_slab(origin, rays, axis, middle, half) for axis, middle in enumerate((0, 0, half))]
        return _nearest(*_intersect(*slabs))
    if shape == "cylinder":
        return _nearest(*_intersect(_slab(origin, rays, 2, half, half), _round(origin, rays, np.s_[:2], 0.0, radius)))
    side = _intersect(_slab(origin, rays, 2, radius + half, half), _round(origin, rays, np.s_[:2], 0.0, radius))
    ends = [_round(origin, rays, np.s_[:], np.float32([0, 0, radius + z]), radius) for z in (0, 2 * half)]
    return np.minimum.reduce([_nearest(*span) for span in (side, *ends)])


def _normals(shape, scale, points):
    """Outward unit normals [P, 3] at points [P, 3] on the object."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    if shape == "cube":
        offsets = points - np.float32([0, 0, half])
        return np.sign(offsets) * np.eye(3, dtype=np.float32)[np.abs(offsets).argmax(axis=1)]
    if shape == "cylinder":
        side = points * np.float32([1, 1, 0]) / radius
        return np.where((points[:, 2:] < 2 * half - 1e-4), side, np.float32([0, 0, 1]))
    axis = np.clip(points[:, 2], radius, radius + 2 * half)
    return (points - axis[:, None] * np.float32([0, 0, 1])) / np.float32(radius)


def _slab(origin, rays, axis, middle, half):
    """Entry and exit of the rays into |x[axis] - middle| < half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (middle - half - origin[..., axis]) / rays[:, axis]
        b = (middle + half - origin[..., axis]) / rays[:, axis]
    return np.minimum(a, b), np.maximum(a, b)


def _round(origin, rays, axes, centre, radius):
    """Entry and exit of the rays into a ball (axes x, y, z) or an upright cylinder (axes x, y)."""
    offset, rays = (origin - centre)[..., axes] if np.ndim(centre) else origin[..., axes], rays[:, axes]
    a, b = (rays * rays).sum(-1), (offset * rays).sum(-1)
    root = b * b - a * ((offset * offset).sum(-1) - radius * radius)
    with np.errstate(invalid="ignore"):
        half = np.sqrt(root)
    return np.where(root > 0, (-b - half) / a, np.inf), np.where(root > 0, (-b + half) / a, -np.inf)


def _intersect(*spans):
    return np.maximum.reduce([near for near, _ in spans]), np.minimum.reduce([far for _, far in spans])


def _nearest(near, far):
    return np.where((near < far) & (near > 1e-4), near, np.inf)


def _gains(points, normals, view):
    """Gains [P] without the spotlight and of the spotlight, and the white highlight [P], at points [P, 3]."""
    to_light = _unit(LIGHT_POSITION - points)
    cosine = _dot(normals, to_light)
    spot = to_light[:, 2] ** LIGHT_EXPONENT
    dark = AMBIENT + HEADLIGHT * np.maximum(normals @ view, 0)
    highlight = HIGHLIGHT * spot * np.clip(HIGHLIGHT_SLOPE * cosine + HIGHLIGHT_OFFSET, 0, 1)
    return dark, LIGHT * spot * np.maximum(cosine, 0), highlight


def _dot(a, b):
    return np.einsum("pk,pk->p", a, b)


def _unit(vectors):
    return vectors / np.sqrt(_dot(vectors, vectors))[:, None]


def _downsample(maps):
    """[M, P] -> [M, 64, 64] by Keys' cubic, which overshoots a little at edges."""
    taps = 4 * SUPERSAMPLING  # the cubic is four pixels wide
    x, a = np.abs((np.arange(taps) + 0.5) / SUPERSAMPLING - 2) / FILTER_WIDTH, FILTER_OVERSHOOT
    weights = np.where(x < 1, ((2 - a) * x - (3 - a)) * x * x + 1, a * (((5 - x) * x - 8) * x + 4)) * (x < 2)
    weights = (weights / weights.sum()).astype(np.float32)
    margin = (taps - SUPERSAMPLING) // 2
    maps = maps.reshape(len(maps), SIZE * SUPERSAMPLING, SIZE * SUPERSAMPLING)
    maps = np.pad(maps, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    strides = [slice(tap, tap + SIZE * SUPERSAMPLING, SUPERSAMPLING) for tap in range(taps)]
    maps = sum(weight * maps[:, stride] for weight, stride in zip(weights, strides, strict=True))
    return sum(weight * maps[:, :, stride] for weight, stride in zip(weights, strides, strict=True))
