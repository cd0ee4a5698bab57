"""Random streams: no two things that a run draws have one key."""

import itertools
import re
from pathlib import Path

import jax
import numpy as np

import scaledis
from scaledis.core.streams import each, stream
from scaledis.objectives import partition

NAMES = sorted(
    {
        name
        for path in Path(scaledis.__file__).parent.rglob("*.py")
        for name in re.findall(r'stream\([a-z_]+, "([a-z_]+)"\)', path.read_text())
    }
)


def data(key):
    return jax.random.key_data(key).tolist()


def test_the_streams_of_the_package_have_different_keys_out_of_reach_of_the_numbers_of_units():
    assert {"noise", "penalty", "extra", "images", "update", "start", "steps", "cell", "place"} <= {*NAMES}
    units = partition.unit_keys((8,) * 4)
    for seed in range(3):
        key = jax.random.key(seed)
        named = [data(stream(key, name)) for name in NAMES]
        numbered = [data(found) for found in each(key, units)]
        assert all(one != other for one, other in itertools.combinations([data(key), *named, *numbered], 2))


def test_a_number_has_the_same_key_whatever_stands_beside_it():
    key = jax.random.key(0)
    few, many = each(key, np.arange(2)), each(key, np.arange(9))
    assert [data(found) for found in few] == [data(found) for found in many][:2]
    assert data(few[1]) == data(jax.random.fold_in(key, 1))
