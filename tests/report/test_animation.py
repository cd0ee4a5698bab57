import io

import numpy as np
from PIL import Image

from scaledis.report.pictures import animation
from tests.report import material


def test_every_unit_moves_there_and_back_in_less_than_two_megabytes():
    runs = [material.summary("vlae"), material.summary("scale_vlae", allocation=(1, 1, 1))]
    data = animation.webp(runs)
    assert data[:4] == b"RIFF" and len(data) < animation.LARGEST
    moving = Image.open(io.BytesIO(data))
    assert moving.n_frames == 24  # thirteen steps there, eleven back
    _, places = animation._backdrop(runs)
    x, y = places[0][2]  # the last unit of the first run, whose images go from 26/38 to white

    def brightness(frame):
        moving.seek(frame)
        return float(np.asarray(moving.convert("L"))[y + 30 : y + 60, x + 30 : x + 60].mean())

    assert [round(brightness(n) / 255, 1) for n in (0, 12)] == [0.7, 1.0]
    assert abs(brightness(1) - brightness(23)) < 3


def test_without_traversals_there_is_none():
    assert animation.webp([material.summary(traversals=None)]) is None
