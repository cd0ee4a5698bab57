"""A saved model is the model, bit for bit: from its folder, and from a pickle in another process."""

import hashlib
import json
import multiprocessing
import pickle

import numpy as np
import pytest

import scaledis
from scaledis.core import bundle
from scaledis.core.errors import UserError
from scaledis.core.files import read_json, write_sealed
from scaledis.model import Model
from tests import assert_same, tiny

IMAGES = tiny.dataset().images(np.arange(8))
DIVERGING = {"train__learning_rate": 1e30, "train__gradient_clip": 0.0}
KINDS = {
    "a ladder": {"method__name": "scale_vlae"},
    "a prior from the top down": {"method__name": "nvae"},
    "a flat one": {"method__name": "beta_vae"},
    "one that fades its levels in, with a bank": {
        "method__name": "pro_scale_vlae",
        "objective__estimator": "memory_bank",
        "method__alone": 1.0,
        "method__stage": 1.0,
        "method__fade": 0.0,
    },
    "one of discriminators and a learned sigma": {
        "method__name": "factor_vae",
        "objective__likelihood": "gaussian_learned",
    },
    "one that has diverged": {"method__name": "vlae", **DIVERGING},
}


def assert_alike(one, other, images=IMAGES):
    codes = one.encode(images)
    assert_same(codes, other.encode(images))
    np.testing.assert_array_equal(one.decode(codes.mean), other.decode(codes.mean), strict=True)
    assert one.config == other.config and one.step == other.step and repr(one) == repr(other)
    assert json.dumps(one.about) == json.dumps(other.about)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_each_kind_comes_back_bit_for_bit(kind, tmp_path):
    [model] = scaledis.train(tiny.config(train__steps=2, **KINDS[kind]), tiny.dataset())
    model.save(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["model.json", "model.safetensors"]
    loaded = scaledis.load_model(tmp_path / "mine")
    assert_alike(model, loaded)
    assert (loaded.about["diverged"] is not None) == ("diverged" in kind)
    loaded.save(tmp_path / "again")
    assert tiny.tree(tmp_path / "again") == tiny.tree(tmp_path / "mine")
    assert_alike(model, pickle.loads(pickle.dumps(model)))


def test_untrained_members_of_a_population_that_pads_them_come_back_bit_for_bit(tmp_path):
    sizes = {(2, 1): 6000, (1, 3): 9000}
    configs = [tiny.config(model__allocation=each, model__parameters=size) for each, size in sizes.items()]
    population = tiny.population(configs, tiny.dataset())
    states = population.init()
    for slot, allocation in enumerate(sizes):
        model = population.model(states, slot)
        model.save(tmp_path / str(slot))
        loaded = scaledis.load_model(str(tmp_path / str(slot)))
        assert_alike(model, loaded)
        assert loaded.step == 0 and loaded.encode(IMAGES).mean.shape == (8, sum(allocation))


def in_another_process(model):
    codes = model.encode(IMAGES)
    return codes, model.decode(codes.mean), repr(model)


def test_a_pickled_model_works_in_a_process_that_was_spawned():
    [model] = scaledis.train(tiny.config(method__name="vlae", train__steps=2), tiny.dataset())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        codes, decoded, shown = pool.apply(in_another_process, (model,))
    assert_same(codes, model.encode(IMAGES))
    np.testing.assert_array_equal(decoded, model.decode(codes.mean))
    assert shown == "Model(vlae, 2-1 units, rendered, seed 0, step 2)"


def test_it_says_what_it_was_trained_on_by_what_and_how_well(tmp_path):
    config = tiny.config(method__name="vlae", train__steps=2)
    [model] = scaledis.train(config, tiny.dataset(), workdir=tmp_path / "runs")
    facts = read_json(tmp_path / "runs/runs/run/config.json")["dataset"]
    loaded = scaledis.load_run(tmp_path / "runs")
    for each in (model, loaded):
        assert each.about["data"] == facts and facts["factors"] == {"ground": 4, "place": 8, "colour": 3}
        assert facts["fingerprint"] == tiny.dataset().fingerprint and each.about["version"] == scaledis.__version__
    assert loaded.about["scores"] == {}
    scores = {"all": {"mig/mig": 0.5, "dci/importance": [[1.0]]}, "step": 2, "diverged": None}
    held = {"unit_kl_nats": None, "split": "all", "held_out": 0.0}
    write_sealed(tmp_path / "runs/runs/run/scores.json", scores | held)
    assert scaledis.load_run(tmp_path / "runs").about["scores"] == {"mig/mig": 0.5}
    write_sealed(tmp_path / "runs/runs/run/scores.json", scores | held | {"step": 1})
    assert scaledis.load_run(tmp_path / "runs").about["scores"] == {}
    (tmp_path / "runs/runs/run/scores.json").write_text("{")
    (tmp_path / "runs/config.json").write_text("{")
    assert_same(scaledis.load_run(tmp_path / "runs").encode(IMAGES), model.encode(IMAGES))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model's folder."""
    folder = tmp_path_factory.mktemp("saved") / "mine"
    population = tiny.population([tiny.config(method__name="vlae")], tiny.dataset())
    population.model(population.init(), 0).save(folder)
    return folder


def changed(about):
    def change(folder):
        held = read_json(folder / bundle.ABOUT)
        write_sealed(folder / bundle.ABOUT, {**held, **about(held)})

    return change


def flipped(name, place):
    def change(folder):
        data = bytearray((folder / name).read_bytes())
        data[place] ^= 1
        (folder / name).write_bytes(data)

    return change


def other_arrays(folder):
    about, arrays = bundle.read(folder)
    arrays.pop("hyperparameters/active")
    bundle.write(folder, about, arrays)


def no_arrays(folder):
    about, arrays = bundle.read(folder)
    data = pickle.dumps(arrays)
    (folder / bundle.ARRAYS).write_bytes(data)
    write_sealed(folder / bundle.ABOUT, {**about, bundle.SUM: hashlib.sha256(data).hexdigest()})


DAMAGE = {
    "a number": (flipped(bundle.ARRAYS, -3), "model.safetensors is damaged: it is not the file that model.json"),
    "a header": (flipped(bundle.ARRAYS, 20), "model.safetensors is damaged"),
    "a letter": (flipped(bundle.ABOUT, 40), "model.json is damaged"),
    "no arrays": (lambda folder: (folder / bundle.ARRAYS).unlink(), "model.safetensors is damaged or cannot be read"),
    "a pickle": (no_arrays, "model.safetensors is damaged: not a safetensors file"),
    "no description": (
        lambda folder: (folder / bundle.ABOUT).unlink(),
        "has no model.json, nor is it the name of a trained model",
    ),
    "no JSON": (lambda folder: (folder / bundle.ABOUT).write_text("[1"), "model.json is damaged"),
    "no checksum": (lambda folder: (folder / bundle.ABOUT).write_text("{}"), "model.json is damaged: it has no check"),
    "other arrays": (other_arrays, "1 differ, such as hyperparameters/active, which is missing there and float32"),
    "another shape": (changed(lambda held: {"image_shape": [16, 8, 3]}), "saved other arrays than version"),
    "words": (changed(lambda held: {"image_shape": "abc"}), "image_shape: 'abc' must be a list"),
    "other units": (
        changed(lambda held: {"allocation": [3, 1]}),
        "active, which is float32.3. there and float32.4.",
    ),
    "no config": (changed(lambda held: {"config": None}), "config: None must be a dictionary"),
    "an unknown method": (
        changed(lambda held: {"config": {**held["config"], "method": {"name": "mine"}}}),
        "method.name: 'mine' is unknown",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_foreign_folder_is_one_sentence(damage, saved, tmp_path):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert scaledis.load_model(tmp_path).step == 0
    change, message = DAMAGE[damage]
    change(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        scaledis.load_model(tmp_path)
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_what_cannot_be_saved_is_one_sentence(saved, tmp_path):
    model = scaledis.load_model(saved)
    (tmp_path / "file").write_text("")
    places = {tmp_path / "file": "cannot be written", "a\0b": "cannot be a directory", 3: "path: 3 must be text or"}
    for place, message in places.items():
        with pytest.raises(UserError, match=message):
            model.save(place)
    for use in (lambda own: own.save(tmp_path / "own"), pickle.dumps):
        with pytest.raises(UserError, match="it was not made by scaledis"):
            use(Model(tiny.config(), 0, None, None, None))


@pytest.mark.usefixtures("linear_method")
def test_a_method_of_ones_own_comes_back_too(tmp_path):
    [model] = scaledis.train(tiny.config(method__name="linear", train__steps=2), tiny.dataset())
    model.save(tmp_path)
    assert_alike(model, scaledis.load_model(tmp_path))
