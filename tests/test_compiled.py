"""A step compiled for a TPU that is not here, where its compiler is (`.ci/run`); the rest is `make compiled`."""

import importlib.util

import pytest

from scaledis.planning import programs
from scaledis.types import ImageSpec
from tests import tiny

pytestmark = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="no libtpu")


def test_a_step_for_a_tpu_multiplies_what_it_needs_and_waits_for_no_other_chip():
    population, found = programs.step(tiny.config(method__name="vae"), ImageSpec((16, 16, 3), 96), "v5e", 4, chips=4)
    needed = programs.needed_flops(population)  # of the one run of each chip; borders are left out, much of 16 pixels
    assert 0.5 <= found.flops / needed <= 1.15
    assert max(each.groups for each in found.instructions) == 1
    assert found.collectives == found.wide == 0 and found.donated and found.held > 0
