"""Which units hold two factors, on codes that are made so."""

import numpy as np
import pytest

from experiments import mixtures

NAMES = ("scale", "shape", "hue")


@pytest.fixture(scope="module")
def factors():
    grid = np.meshgrid(np.arange(4), np.arange(4), np.arange(4), indexing="ij")
    return np.tile(np.stack([each.ravel() for each in grid], axis=1), (20, 1))


def test_a_unit_of_two_factors_is_named_with_both_and_a_clean_or_silent_one_is_not(factors):
    scale, shape, hue = factors.T
    codes = np.stack([hue, scale + 4 * shape, scale + shape, np.zeros(len(hue))], axis=1).astype(float)
    found = mixtures.mixed(codes, factors, NAMES)
    assert found.keys() == {1, 2}
    assert found[1] == pytest.approx({"scale": 1, "shape": 1}, abs=0.02)  # sixteen values tell both whole
    # H(shape) - H(shape | scale + shape): 1 to 4 values share a sum, 16 pairs in all.
    left = sum(count * np.log(count) for count in (1, 2, 3, 4, 3, 2, 1)) / 16
    assert found[2] == pytest.approx(dict.fromkeys(("scale", "shape"), 1 - left / np.log(4)), abs=0.02)
    assert mixtures.pairs_of(found) == {"scale and shape": 2}


def test_what_is_held_is_told_in_words_and_by_its_best_pair():
    found = {3: {"shape": 0.21, "scale": 0.07}, 8: {"hue": 0.6, "scale": 0.3, "shape": 0.2}}
    levels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    words = "unit 3 of level 3: shape .21, scale .07; unit 8 of level 1: hue .60, scale .30, shape .20"
    assert mixtures.in_words(found, levels) == words
    assert mixtures.pairs_of(found) == {"scale and shape": 1, "hue and scale": 1}
    assert mixtures.in_words({}, levels) == "" and mixtures.pairs_of({}) == {}
