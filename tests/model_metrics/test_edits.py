"""Edit selectivity on models whose answers are known, and its classifiers."""

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.metrics import of_models
from scaledis.metrics.of_models import edits
from scaledis.metrics.of_models.shared import classifiers
from tests import tiny
from tests.model_metrics import oracle

DATA = oracle.dataset()
FACTORS = len(DATA.factor_names)
INDEX = np.random.default_rng(0).integers(0, DATA.size, 3000)


def rotation(size=FACTORS, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def scores(model, data=DATA, index=INDEX, **options):
    options = {"classify": oracle.classify(data), **options}
    return of_models.compute("edits", model, data, options={"edits": options}, index=index)


def test_one_factor_a_unit_scores_one():
    found = scores(oracle.model(DATA))
    assert list(found)[:3] == ["edits/selectivity", "edits/kept", "edits/effective"]
    assert found["edits/selectivity"] == found["edits/kept"] == found["edits/effective"] == 1
    assert found["edits/factor_per_unit"] == list(DATA.factor_names) and found["edits/warnings"] == []
    np.testing.assert_array_equal(found["edits/changes"], np.eye(FACTORS))


@pytest.mark.parametrize("seed", range(5))
def test_a_random_rotation_is_near_chance(seed):
    found = scores(oracle.model(DATA, rotation(seed=seed)))
    assert 1 / FACTORS - 0.02 <= found["edits/selectivity"] <= 1 / FACTORS + 0.1
    assert 0 <= found["edits/kept"] < 0.05 and 0.6 < found["edits/effective"] <= 1


def test_a_level_that_mixes_its_factors_is_less_selective_than_one_that_does_not():
    turn = np.eye(FACTORS)
    turn[3:, 3:] = rotation(3)
    found = scores(oracle.model(DATA, turn, levels=[0, 0, 0, 1, 1, 1]))
    top, bottom = found["edits/selectivity_per_level"]
    assert top == 1 and 1 / 3 <= bottom < 0.6 and bottom < found["edits/selectivity"] < top
    assert found["edits/kept_per_level"][0] == 1 and found["edits/selectivity_per_unit"][:3] == [1, 1, 1]


def test_scores_are_those_of_counting_image_by_image():
    model = oracle.model(DATA, rotation())
    found = scores(model, images=7)
    start, names = model.encode(DATA.images(INDEX[:7])).mean, list(DATA.factor_names)
    own, every, kept = 0, 0, 0
    for unit, name in enumerate(found["edits/factor_per_unit"]):
        for code in start:
            here, different = np.rint(255 * model.decode(code[None])[0, 0, 0]), set()
            for value in (-2, -1, 0, 1, 2):
                there = np.rint(255 * model.decode(np.r_[code[:unit], value, code[unit + 1 :]][None])[0, 0, 0])
                different |= set(np.flatnonzero(here != there))
            own += names.index(name) in different
            every += len(different)
            kept += different <= {names.index(name)}
    assert found["edits/selectivity"] == own / every
    assert found["edits/kept"] == pytest.approx(kept / (7 * FACTORS), abs=1e-12)


def test_dead_units_and_units_that_know_nothing_are_left_out():
    whole = oracle.model(DATA)

    def encode(images):
        codes = whole.encode(images)
        keep = np.arange(FACTORS) > 1
        return codes._replace(mean=codes.mean * keep, log_variance=codes.log_variance * keep)

    found = scores(whole._replace(encode=encode))
    assert found["edits/factor_per_unit"] == [None, None, *DATA.factor_names[2:]]
    assert found["edits/selectivity_per_unit"] == [None, None, 1, 1, 1, 1] and found["edits/selectivity"] == 1
    silent = whole._replace(encode=lambda images: whole.encode(images)._replace(mean=np.zeros((len(images), FACTORS))))
    nothing = scores(silent)
    assert nothing["edits/selectivity"] is None and "knows a factor" in nothing["edits/warnings"][0]


def test_a_change_is_a_total_variation_above_one_half():
    before = [np.array([[0.9, 0.1], [0.5, 0.5]])]
    after = [np.array([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])]  # two steps of each image
    np.testing.assert_array_equal(edits.changed(before, after), [[False], [False]])
    after[0][1] = 0.2, 0.8
    np.testing.assert_array_equal(edits.changed(before, after), [[True], [False]])


def test_what_cannot_be_scored_is_said():
    nameless = oracle.dataset(())
    with pytest.raises(UserError, match="factors has no factors that an edit could change"):
        edits.compute(oracle.model(DATA), nameless, INDEX, oracle.model(DATA).encode(DATA.images(INDEX)))
    with pytest.raises(UserError, match="option of metric 'edits': 'image' is unknown. Did you mean 'images'"):
        scores(oracle.model(DATA), image=3)


def test_classifiers_learn_the_factors_once_for_a_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "STEPS", 300)
    data = tiny.dataset()
    first = classifiers.of_dataset(data, tmp_path)
    told = first.classify(data.images(np.arange(96)) / np.float32(255))
    assert [each.shape for each in told] == [(96, 4), (96, 8), (96, 3)]
    np.testing.assert_allclose([each.sum(axis=1) for each in told], 1, rtol=1e-5)
    right = np.stack([each.argmax(axis=1) for each in told], axis=1) == data.factors(np.arange(96))
    assert right.mean() > 0.9 and (first.accuracy >= 0).all() and (first.accuracy <= 1).all()
    [file] = tmp_path.iterdir()
    assert data.fingerprint in file.name and "16x16" in file.name

    calls = []
    monkeypatch.setattr(classifiers, "train", lambda *given: calls.append(given) or {"accuracy": np.zeros(3)})
    again = classifiers.of_dataset(data, tmp_path)
    np.testing.assert_array_equal(again.classify(data.images([5]) / np.float32(255))[1], told[1][5:6])
    assert not calls
    file.write_bytes(file.read_bytes()[:-100])
    classifiers.of_dataset(data, tmp_path)
    classifiers.of_dataset(tiny.changed(data), tmp_path)  # other pixels, another fingerprint
    assert len(calls) == 2


def test_a_trained_classifier_takes_the_place_of_the_exact_one(tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "STEPS", 50)
    data = tiny.dataset()
    config = tiny.config(method__name="vlae", data__directory=str(tmp_path))
    population = tiny.population([config], data)
    model = population.model(population.init(), 0)
    found = of_models.compute("edits", model, data, options={"edits": {"images": 5}})
    assert len(found["edits/accuracy_per_factor"]) == 3 and len(found["edits/changes"]) == 3
    assert list(tmp_path.glob("classifiers_*.npz"))
    poor = [
        name
        for name, right in zip(data.factor_names, found["edits/accuracy_per_factor"], strict=True)
        if right < edits.RIGHT
    ]
    assert [name for name in data.factor_names if any(name in each for each in found["edits/warnings"])] == poor
