"""The room of `rendered`: a numpy ray caster that turns a geometry into the shading maps of its materials."""

import itertools
from collections.abc import Sequence

import numpy as np

MATERIALS = FLOOR, WALL, OBJECT, SKY, HIGHLIGHT = range(5)
SHAPES = ("cube", "cylinder", "sphere", "capsule")
SIZE = 64  # pixels
SUPERSAMPLING = 4  # rays per pixel and axis

# All numbers are fitted to thirty images of 3DShapes; experiments/benchmarks/fidelity.py measures how well.
# Lengths are in units of a seventh of the square room. The floor is z = 0, the object stands at the origin, the back
# wall at y = 3.5.
FOCAL_LENGTH = 69.97  # pixels
CAMERA_RADIUS = 2.587  # of the ring on which the camera stands, looking horizontally at the room's axis
CAMERA_HEIGHT = 0.761
ROOM_HALF_WIDTH = 3.5
WALL_HEIGHT = 2.006
WALL_GAP = 0.011  # the walls hang this high above the floor

# (radius or half-side, half-height without round ends) at scale 1; a sphere is a capsule with no straight part.
SHAPE_SIZES = {
    "cube": (0.3579, 0.3546),
    "cylinder": (0.3833, 0.381),
    "sphere": (0.4306, 0.0),
    "capsule": (0.3317, 0.3269),
}

# A spotlight high above the floor, straight down, casts the shadow; a headlight shines along the camera's view.
LIGHT_POSITION = np.array([-1.455, 0.523, 7.573], np.float32)
LIGHT_EXPONENT = 10.7  # of the cosine off the spotlight's axis
# Gains multiply the color of a material; beyond 1 they saturate, as in the original.
AMBIENT = 0.3494
HEADLIGHT = 0.5904
LIGHT = 0.9695
SPECULAR = 0.1546  # white on the object, wherever its surface faces the spotlight
SLICES, STACKS = 28, 16  # of the original's round meshes, which show in the edge of the highlight

Span = tuple[np.ndarray, np.ndarray]  # where rays [P] enter and leave


def shading(azimuth: float, solids: Sequence[tuple[float, str]]) -> np.ndarray:
    """Shading maps float32 [n, 5, 64, 64] of n solids (scale, shape) seen from the angle `azimuth` in degrees.

    An image is the maps times the colors of MATERIALS, summed, clipped to [0, 255].
    """
    camera, rays = _camera(np.deg2rad(azimuth))
    view = camera * np.array([1, 1, 0], np.float32) / CAMERA_RADIUS  # towards the camera, which looks horizontally
    distance, normals = _room(camera, rays)
    points = camera + distance[:, None] * rays
    normals[points[:, 2] < WALL_GAP] = (0, 0, 1)
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
        maps[OBJECT, seen], maps[HIGHLIGHT, seen] = object_dark + object_light, highlight
        images.append(_downsample(maps))
    return np.stack(images)


def _camera(azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """Position [3] and ray directions [P, 3], rows from the top, of the camera at `azimuth` radians on its ring."""
    steps = ((np.arange(SIZE * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - SIZE / 2) / FOCAL_LENGTH
    down, right = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    sin, cos = np.sin(azimuth), np.cos(azimuth)
    rays = np.stack([right * cos - sin, right * sin + cos, -down], axis=-1)
    return np.array([CAMERA_RADIUS * sin, -CAMERA_RADIUS * cos, CAMERA_HEIGHT], np.float32), rays.astype(np.float32)


def _room(camera: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance [P] to the floor or the nearest wall from inside, and its normal [P, 3]."""
    # Inward normals: the floor, then the walls.
    faces = np.array([[0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], np.float32)
    offsets = np.array([0, *4 * [ROOM_HALF_WIDTH]], np.float32)
    with np.errstate(divide="ignore"):
        distances = -(faces @ camera + offsets) / (rays @ faces.T)
    distances = np.where(distances > 0, distances, np.inf)
    return distances.min(axis=1), faces[distances.argmin(axis=1)]


def _distance(shape: str, scale: float, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Distance [P] along the rays to the object, in units of the ray's length; infinite for a miss."""
    near = _near(shape, scale, origin, rays)
    distance = np.full(len(rays), np.inf, np.float32)
    distance[near] = _entry(shape, scale, origin[near] if origin.ndim == 2 else origin, rays[near])
    return distance


def _near(shape: str, scale: float, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Indices of the rays that cross the ball around the object: a cheap first test, most rays miss it."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    middle = half if shape in ("cube", "cylinder") else radius + half
    offset = origin - np.array([0, 0, middle], np.float32)
    b = (rays * offset).sum(-1)
    return np.flatnonzero(b * b > _dot(rays, rays) * ((offset * offset).sum(-1) - 2 * radius**2 - middle**2))


def _entry(shape: str, scale: float, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """`_distance` by intersecting spans: every shape is made of slabs, balls and an upright cylinder."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    if shape == "cube":
        return _first(*(_slab(origin, rays, *slab) for slab in ((0, 0, radius), (1, 0, radius), (2, half, half))))
    if shape == "cylinder":
        return _first(_slab(origin, rays, 2, half, half), _round(origin[..., :2], rays[:, :2], radius))
    side = _first(_slab(origin, rays, 2, radius + half, half), _round(origin[..., :2], rays[:, :2], radius))
    ends = [_first(_round(origin - np.array([0, 0, radius + z], np.float32), rays, radius)) for z in (0, 2 * half)]
    return np.minimum.reduce([side, *ends])


def _normals(shape: str, scale: float, points: np.ndarray) -> np.ndarray:
    """Outward unit normals [P, 3] at points [P, 3] on the object."""
    radius, half = (scale * size for size in SHAPE_SIZES[shape])
    if shape == "cube":
        offsets = (points - np.array([0, 0, half], np.float32)) / np.array([radius, radius, half], np.float32)
        return np.sign(offsets) * np.eye(3, dtype=np.float32)[np.abs(offsets).argmax(axis=1)]
    if shape == "cylinder":
        side = points * np.array([1, 1, 0], np.float32) / radius
        return np.where(points[:, 2:] < 2 * half - 1e-4, side, np.array([0, 0, 1], np.float32))
    axis = np.clip(points[:, 2], radius, radius + 2 * half)
    return (points - axis[:, None] * np.array([0, 0, 1], np.float32)) / np.float32(radius)


def _slab(origin: np.ndarray, rays: np.ndarray, axis: int, middle: float, half: float) -> Span:
    """Entry and exit of the rays into |x[axis] - middle| < half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (middle - half - origin[..., axis]) / rays[:, axis]
        b = (middle + half - origin[..., axis]) / rays[:, axis]
    return np.minimum(a, b), np.maximum(a, b)


def _round(origin: np.ndarray, rays: np.ndarray, radius: float) -> Span:
    """Entry and exit of the rays into a ball at 0, or in two dimensions into an upright cylinder."""
    a, b = (rays * rays).sum(-1), (origin * rays).sum(-1)
    root = b * b - a * ((origin * origin).sum(-1) - radius * radius)
    half = np.sqrt(np.maximum(root, 0))
    return np.where(root > 0, (-b - half) / a, np.inf), (-b + half) / a


def _first(*spans: Span) -> np.ndarray:
    """Where the rays enter the intersection of convex spans; infinite for a miss."""
    near = np.maximum.reduce([entry for entry, _ in spans])
    far = np.minimum.reduce([leave for _, leave in spans])
    return np.where((near < far) & (near > 1e-4), near, np.inf)


def _gains(points: np.ndarray, normals: np.ndarray, view: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gains [P] without the spotlight and of the spotlight, and the white highlight [P], at points [P, 3]."""
    to_light = LIGHT_POSITION - points
    to_light = to_light / np.sqrt(_dot(to_light, to_light))[:, None]
    cosine = _dot(normals, to_light)
    spot = to_light[:, 2] ** LIGHT_EXPONENT
    dark = AMBIENT + HEADLIGHT * np.maximum(normals @ view, 0)
    return dark, LIGHT * spot * np.maximum(cosine, 0), SPECULAR * spot * _facing(normals, to_light)


def _facing(normals: np.ndarray, to_light: np.ndarray) -> np.ndarray:
    """Whether the normals [P, 3] face the light, known at the vertices of a mesh and interpolated between them."""
    longitude = np.arctan2(normals[:, 1], normals[:, 0]) * SLICES / (2 * np.pi)
    latitude = np.arcsin(np.clip(normals[:, 2], -1, 1)) * STACKS / np.pi
    facing = np.zeros(len(normals), np.float32)
    for east, north in itertools.product((0, 1), repeat=2):
        u, v = np.floor(longitude) + east, np.floor(latitude) + north
        weight = (1 - np.abs(longitude - u)) * (1 - np.abs(latitude - v))
        u, v = u * (2 * np.pi / SLICES), v * (np.pi / STACKS)
        vertex = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], axis=-1)
        facing += weight * (_dot(vertex, to_light) > 0)
    return facing


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # Not numpy.vecdot, whose sums may be rounded otherwise: the maps have a version.
    return np.einsum("pk,pk->p", a, b)


def _downsample(maps: np.ndarray) -> np.ndarray:
    """[M, P] -> [M, 64, 64] by Lanczos' filter with three lobes, which overshoots a little at edges."""
    taps = 6 * SUPERSAMPLING
    x = (np.arange(taps) + 0.5) / SUPERSAMPLING - 3
    weights = np.sinc(x) * np.sinc(x / 3)
    weights = (weights / weights.sum()).astype(np.float32)
    margin = (taps - SUPERSAMPLING) // 2
    maps = maps.reshape(len(maps), SIZE * SUPERSAMPLING, SIZE * SUPERSAMPLING)
    maps = np.pad(maps, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    strides = [slice(tap, tap + SIZE * SUPERSAMPLING, SUPERSAMPLING) for tap in range(taps)]
    nothing = np.zeros((), np.float32)
    maps = sum((weight * maps[:, tap] for weight, tap in zip(weights, strides, strict=True)), nothing)
    return sum((weight * maps[:, :, tap] for weight, tap in zip(weights, strides, strict=True)), nothing)
