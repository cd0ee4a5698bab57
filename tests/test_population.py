import dataclasses
import gc
import os
import signal
import warnings
import weakref

import jax
import numpy as np
import optax
import pytest

from scaledis import methods
from scaledis.core.errors import UserError
from scaledis.sweeps import plan
from scaledis.training import population
from scaledis.training.population import select
from scaledis.types import NEVER
from tests import assert_same, tiny
from tests.frameworks import Tensor

DATASET = tiny.dataset()


def trained(*configs, steps=4):
    members = tiny.population(configs, DATASET)
    runs, terms = members.make_advance(DATASET)(members.init(), steps)
    return jax.device_get(runs), jax.device_get(terms)


def assert_close(runs, alone, slot):
    for a, b in zip(jax.tree.leaves(select(runs, slot)), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=2e-4, atol=2e-5)


def test_a_member_of_a_population_is_the_same_run_alone():
    configs = [tiny.config(seed=0), tiny.config(seed=7, method__beta=9.0, train__learning_rate=3e-3)]
    runs, terms = trained(*configs)
    for slot, config in enumerate(configs):
        alone, alone_terms = trained(config)
        assert_close(runs, alone, slot)
        for name in terms:
            np.testing.assert_allclose(terms[name][slot], alone_terms[name][0], rtol=1e-3, atol=1e-4)


def test_three_runs_share_two_devices():
    assert jax.device_count() == 2 and population.make_mesh(3).size == 1 and population.make_mesh(4).size == 2
    configs = [tiny.config(seed=seed) for seed in range(4)]
    assert_close(trained(*configs)[0], trained(configs[3])[0], 3)


def test_allocations_of_equal_depth_share_a_program_and_stay_the_runs_that_they_are_alone():
    configs = [tiny.config(model__allocation=allocation) for allocation in [(2, 1), (1, 3)]]
    assert plan.shared(configs[0]) == plan.shared(configs[1])
    assert plan.common_allocation(configs) == (2, 3)
    runs, terms = trained(*configs)
    for slot, config in enumerate(configs):
        _, alone_terms = trained(config)
        for name in ("loss_nats", "kl_nats", "inter_nats", "total_correlation_level1_nats", "gradient_norm"):
            np.testing.assert_allclose(terms[name][slot], alone_terms[name][0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("allocation", [(1, 3), (2, 1, 1)])
def test_an_allocation_that_does_not_hold_the_runs_own_is_refused(allocation):
    with pytest.raises(UserError, match=r"allocation: \[.*\] of the plan does not hold the runs' own, \[2, 1\]"):
        tiny.population([tiny.config(model__allocation=(2, 1))], DATASET, allocation=allocation)


def test_flat_runs_of_different_size_and_granularity_share_a_program_too():
    settings = [{"model__latents": 3, "method__block": 1}, {"model__latents": 5, "method__block": 2}]
    configs = [tiny.config(method__name="beta_stcvae", **each) for each in settings]
    assert plan.shared(configs[0]) == plan.shared(configs[1])
    _, terms = trained(*configs)
    _, alone = trained(configs[0])
    for name in ("loss_nats", "inter_nats", "regularization_nats"):
        np.testing.assert_allclose(terms[name][0], alone[name][0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["scale_vlae", "factor_vae", "dava"])
def test_runs_of_different_capacity_share_a_program_and_stay_the_runs_that_they_are_alone(method):
    network = "" if method == "scale_vlae" else "shallow"
    several = [{"model__parameters": size, "seed": size} for size in (6000, 9000, 6000)]
    configs = [tiny.config(method__name=method, model__network=network, **each) for each in several]
    together, alone = tiny.population(configs, DATASET), tiny.population(configs[:1], DATASET)
    start, own = together.init(), alone.init()
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(select(each, 0).state.params)) for each in (start, own)]
    assert sizes[0] > sizes[1]
    assert_widened(start, own, rtol=0, atol=0)
    runs, terms = jax.device_get(together.make_advance(DATASET)(start, 4))
    runs_alone, terms_alone = jax.device_get(alone.make_advance(DATASET)(own, 4))
    for name in terms:
        np.testing.assert_allclose(terms[name][0], terms_alone[name][0], rtol=1e-3, atol=1e-4, err_msg=name)
    assert_widened(runs.state.params, runs_alone.state.params, rtol=2e-3, atol=2e-4)
    for wide, narrow in zip(jax.tree.leaves(runs), jax.tree.leaves(runs_alone), strict=True):
        assert not beyond(wide[0], narrow[0]).any()


def assert_widened(together, alone, rtol, atol):
    """The first run of `together` is `alone` to the tolerance, and zero beyond it."""
    leaves = map(jax.tree.leaves, jax.device_get((together, alone)))
    for wide, narrow in zip(*leaves, strict=True):
        inner = np.asarray(wide[0])[tuple(map(slice, narrow[0].shape))]
        np.testing.assert_allclose(inner, narrow[0], rtol=rtol, atol=atol)
        assert not beyond(wide[0], narrow[0]).any()


def beyond(wide, narrow):
    """`wide` without what lies within the shape of `narrow`."""
    rest = np.array(wide)
    rest[tuple(map(slice, narrow.shape))] = 0
    return rest


def test_what_shares_a_program():
    base = plan.shared(tiny.config())
    for overrides in [
        {"seed": 3},
        {"method__name": "vlae"},
        {"method__gamma": 9.0},
        {"method__beta": (2.0, 3.0)},
        {"objective__sigma": 0.3},
        {"objective__kl_warmup": 10.0},
        {"train__learning_rate": 1e-4},
        {"model__allocation": (1, 5)},
        {"model__parameters": 9000},
    ]:
        assert plan.shared(tiny.config(**overrides)) == base
    for overrides in [
        {"train__batch": 9},
        {"model__allocation": (1, 1, 1)},
        {"objective__likelihood": "bernoulli"},
        {"method__name": "pro_vlae"},
        {"data__held_out": 0.2},
    ]:
        assert plan.shared(tiny.config(**overrides)) != base


def test_a_build_cannot_take_the_number_of_another_run_for_its_own(monkeypatch):
    shared, spec = plan.shared(tiny.config(seed=3, train__learning_rate=0.01)), methods.choose("scale_vlae")
    model, objective, train = shared.model, shared.objective, shared.train
    held = shared.seed, model.latents, objective.sigma, objective.kl_warmup, train.learning_rate, train.start
    assert set(held) == {plan.CARRIED}

    def build(config, images):
        optax.adam(config.train.learning_rate)
        return spec.build(config, images)

    monkeypatch.setitem(methods.REGISTRY.registered, "optimized", dataclasses.replace(spec, build=build))
    with pytest.raises(TypeError, match="Carried"):
        tiny.population([tiny.config(method__name="optimized")], DATASET)


def test_where_a_run_is_interrupted_changes_nothing():
    members = tiny.population([tiny.config()], DATASET)
    advance = members.make_advance(DATASET)
    whole, _ = advance(members.init(), 5)
    assert_same(whole, advance(advance(members.init(), 2)[0], 3)[0])


def test_a_diverged_run_is_frozen_and_its_neighbor_untouched():
    good, bad = tiny.config(seed=1), tiny.config(seed=2, train__learning_rate=1e30)
    members = tiny.population([good, bad], DATASET)
    advance = members.make_advance(DATASET)
    runs, _ = advance(members.init(), 3)
    frozen = jax.device_get(select(runs, 1))
    runs, terms = advance(runs, 3)
    runs = jax.device_get(runs)
    assert runs.diverged[0] == NEVER and 0 <= runs.diverged[1] < 3
    assert_same(frozen.state, select(runs, 1).state)
    assert np.isnan(terms["loss_nats"][1]) and np.isfinite(terms["loss_nats"][0])
    assert_close(runs, trained(good, steps=6)[0], 0)


def test_the_shapes_are_those_of_the_runs_and_nothing_is_computed_for_them():
    members = tiny.population([tiny.config(seed=seed) for seed in range(2)], DATASET)
    runs = members.init()
    assert jax.tree.structure(members.shapes) == jax.tree.structure(runs)
    for shape, leaf in zip(jax.tree.leaves(members.shapes), jax.tree.leaves(runs), strict=True):
        assert isinstance(shape, jax.ShapeDtypeStruct)
        assert (shape.shape, shape.dtype, shape.sharding) == (leaf.shape, leaf.dtype, leaf.sharding)


def test_a_model_has_no_padding_and_is_that_of_the_run_alone():
    configs = [tiny.config(model__allocation=allocation) for allocation in [(2, 1), (1, 3)]]
    together, alone = tiny.population(configs, DATASET), tiny.population(configs[:1], DATASET)
    runs, images = together.make_advance(DATASET)(together.init(), 3)[0], np.asarray(DATASET.images(np.arange(5)))
    models = [together.model(runs, slot) for slot in range(2)]
    own = alone.model(alone.make_advance(DATASET)(alone.init(), 3)[0], 0)
    for model, config, levels in zip(models, configs, [[0, 0, 1], [0, 1, 1, 1]], strict=True):
        codes = model.encode(images)
        assert model.config == config and model.step == 3
        assert codes.mean.shape == codes.log_variance.shape == (5, len(levels))
        np.testing.assert_array_equal(codes.levels, levels)
        assert model.decode(codes.mean).shape == images.shape
    for found, expected in zip(models[0].encode(images), own.encode(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    codes = own.encode(images).mean
    np.testing.assert_allclose(models[0].decode(codes), own.decode(codes), rtol=2e-4, atol=2e-5)


def test_any_number_of_images_is_encoded_and_decoded_by_one_program():
    members = tiny.population([tiny.config()], DATASET)
    runs, images = members.init(), DATASET.images(np.arange(70))
    model, state = members.model(runs, 0), select(runs, 0).state
    whole = model.encode(images)
    decoded = model.decode(whole.mean)
    programs = members.program.encode, members.program.decode
    counts = [compiled.__wrapped__._cache_size() for compiled in programs]
    for rows in (slice(0, 0), slice(69, 70), slice(5, 38)):
        codes = model.encode(images[rows])
        for found, array in zip(codes[:2], whole[:2], strict=True):
            np.testing.assert_array_equal(found, array[rows])
        np.testing.assert_array_equal(codes.levels, whole.levels)
        np.testing.assert_array_equal(model.decode(whole.mean[rows]), decoded[rows])
    assert [compiled.__wrapped__._cache_size() for compiled in programs] == counts
    np.testing.assert_array_equal(model.encode(Tensor(images)).mean, whole.mean)
    np.testing.assert_array_equal(model.decode(Tensor(whole.mean)), decoded)
    expected = jax.jit(members.program.method.encode)(state, images)  # at once
    for found, array in zip(whole[:2], expected[:2], strict=True):
        np.testing.assert_allclose(found, array, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(decoded, jax.jit(members.program.method.decode)(state, whole.mean), rtol=1e-5, atol=1e-6)


def test_in_a_forked_process_a_sentence_comes_instead_of_a_wait_without_end():
    members = tiny.population([tiny.config()], DATASET)
    model, images = members.model(members.init(), 0), DATASET.images(np.arange(2))
    calls = [lambda: model.encode(images), lambda: model.decode(np.zeros((1, 3))), lambda: DATASET.images([0])]
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python and JAX warn of the fork
        child = os.fork()
    if not child:
        signal.alarm(20)  # what waits is killed
        for call in calls:
            try:
                call()
            except UserError as error:
                os.write(writer, f"{error}\n".encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as said:
        sentences = said.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    assert [each.partition(":")[0] for each in sentences] == ["encode", "decode", "images"]
    assert all("forked" in each and "spawn" in each and "in the parent" in each for each in sentences)


def test_a_model_refuses_images_and_codes_of_another_shape():
    members = tiny.population([tiny.config()], DATASET)
    model = members.model(members.init(), 0)
    for door, message in ((model.encode, "images: text"), (model.decode, "codes: text")):
        with pytest.raises(UserError, match=message):
            door("abc")
    for images in (
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((16, 16, 3), np.uint8),
    ):
        with pytest.raises(UserError, match=r"this model encodes uint8 \[B, 16, 16, 3\]"):
            model.encode(images)
    for codes in (np.zeros((2, 4)), np.zeros(3)):
        with pytest.raises(UserError, match=r"this model decodes \[B, 3\]"):
            model.decode(codes)


def test_a_model_of_a_diverged_run_has_the_step_of_the_state_that_training_keeps():
    members = tiny.population([tiny.config(train__learning_rate=1e30)], DATASET)
    runs, _ = members.make_advance(DATASET)(members.init(), 6)
    diverged = int(runs.diverged[0])
    assert 0 <= diverged < 6 and members.model(runs, 0).step == int(runs.step[0]) == diverged


def test_images_and_noise_are_functions_of_key_and_step():
    runs, terms = trained(*(tiny.config(seed=seed) for seed in (5, 6, 5)))
    for leaf in jax.tree.leaves((runs, terms)):
        np.testing.assert_array_equal(leaf[0], leaf[2])
    assert terms["loss_nats"][0] != pytest.approx(terms["loss_nats"][1])


def test_populations_of_one_shape_share_what_is_compiled():
    first = tiny.population([tiny.config(seed=0), tiny.config(seed=1)], DATASET)
    second = tiny.population([tiny.config(seed=2, method__beta=3.0), tiny.config(seed=3)], DATASET)
    assert second.program is first.program
    assert tiny.population([tiny.config(seed=2)], DATASET).program is not first.program
    remembered = second.make_advance(DATASET)(second.init(), 3)[0]
    population.make_program.cache_clear()
    alone = tiny.population(second.configs, DATASET)
    assert alone.program is not first.program
    assert_same(remembered, alone.make_advance(DATASET)(alone.init(), 3)[0])


def test_a_method_that_is_registered_again_has_a_program_of_its_own(monkeypatch):
    def programs(build):
        monkeypatch.setitem(methods.REGISTRY.registered, "again", dataclasses.replace(spec, build=build))
        return tiny.population([tiny.config(method__name="again")], DATASET).program

    spec = methods.choose("scale_vlae")
    first = programs(spec.build)
    assert tiny.population([tiny.config(method__name="again")], DATASET).program is first
    assert programs(spec.build) is not first  # another cell may have changed what `build` calls


@pytest.mark.usefixtures("linear_method")
def test_programs_take_the_options_of_the_compiler_that_the_tests_set_for_all(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    members = tiny.population([tiny.config(method__name="linear", train__batch=5)], DATASET)
    assert members.shapes.step.shape == (1,) and members.memory(DATASET) > 0
    runs, _ = members.make_advance(DATASET)(members.init(), 2)
    model = members.model(runs, 0)
    assert model.step == 2 and model.decode(model.encode(DATASET.images(range(3))).mean).shape == (3, 16, 16, 3)


def test_the_data_set_leaves_the_devices_with_the_steps():
    members = tiny.population([tiny.config()], DATASET)
    advance = members.make_advance(dataclasses.replace(DATASET, source=np.asarray(DATASET.source)))
    runs, _ = advance(members.init(), 1)
    placed = [weakref.ref(array) for array in jax.live_arrays() if array.shape == DATASET.source.shape]
    assert len(placed) > 1
    before = sum(ref() is not None for ref in placed)
    advance(runs, 1)
    del advance
    gc.collect()
    assert sum(ref() is not None for ref in placed) < before
