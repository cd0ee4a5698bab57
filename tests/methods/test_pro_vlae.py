import jax
import numpy as np
import pytest

from scaledis.core.errors import Stopped, UserError
from scaledis.methods.base.autoencoder import make_autoencoder
from scaledis.methods.pro_vlae import presence_of, progressive, progressive_scale_aware
from scaledis.methods.scale_vlae import scale_aware
from scaledis.training.loop import train_population
from scaledis.types import ImageSpec, Run
from scaledis.workdir.log import read_records
from tests import assert_same, tiny
from tests.methods import arrays, make_config, make_method, make_posterior, one_update, penalty

DATASET = tiny.dataset()
ALL, TOP_TWO = make_posterior(), (1.0, 0.3, 0.0)


@pytest.mark.parametrize("fade", [0.0, 4.0])
def test_levels_come_from_the_top_one_a_stage_and_fade_in(fade):
    run = make_config("pro_vlae", method__fade=fade, train__steps=30)
    presence = presence_of(run)
    seen = np.stack([presence(arrays(run), step) for step in range(30)])
    np.testing.assert_array_equal(seen[:10], np.tile([1, 0, 0], (10, 1)))
    np.testing.assert_array_equal(seen[14:20], np.tile([1, 1, 0], (6, 1)))
    np.testing.assert_array_equal(seen[24:], np.ones((6, 3)))
    np.testing.assert_allclose(seen[10:14, 1], [0.25, 0.5, 0.75, 1] if fade else 1)
    np.testing.assert_array_equal(seen[20:24, 2], seen[10:14, 1])


def test_the_first_stage_and_the_others_may_have_lengths_of_their_own():
    run = make_config("pro_vlae", method__fade=5.0, method__alone=12.0, method__stage=2.0, train__steps=30)
    presence = presence_of(run)
    seen = np.stack([presence(arrays(run), step) for step in range(30)])
    np.testing.assert_array_equal(seen[:, 0], 1)
    for level, began in ((1, 12), (2, 14)):  # a stage may be shorter than the fade
        np.testing.assert_allclose(seen[:, level], np.clip((np.arange(30) - began + 1) / 5, 0, 1), atol=1e-6)

    only = make_config("pro_vlae", method__fade=0.0, method__stage=4.0, train__steps=30)
    counts = [int(presence_of(only)(arrays(only), step).sum()) for step in range(30)]
    assert counts == [1] * 4 + [2] * 4 + [3] * 22


@pytest.mark.parametrize("name", ["pro_vlae", "pro_scale_vlae"])
@pytest.mark.parametrize("given", [{}, {"alone": 20.0}, {"alone": 12.0, "stage": 2.0, "fade": 16.0}, {"fade": 3.0}])
def test_every_level_has_faded_in_when_the_last_update_is_made(name, given):
    run = make_config(name, train__steps=30, **{f"method__{key}": value for key, value in given.items()})
    presence = presence_of(run)
    seen = np.stack([presence(arrays(run), step) for step in range(30)])
    np.testing.assert_array_equal(seen[-1], 1)
    assert (seen[np.argmax(seen[:, 2] > 0) - 1] == [1, 1, 0]).all() or given.get("stage")  # one fade after the other


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"alone": 12.0, "stage": 2.0, "fade": 5.0}, 19),
        ({"stage": 15.0, "fade": 0.0}, 31),
        ({"alone": 31.0}, 33),
        ({"alone": 31.0, "stage": 0.5, "fade": 1.5}, 33),
    ],
)
def test_stages_that_do_not_fit_in_the_steps_are_refused_with_the_steps_that_would_do(given, end):
    given = {f"method__{key}": value for key, value in given.items()}
    for name in ("pro_vlae", "pro_scale_vlae"):
        with pytest.raises(
            UserError, match=f"method.alone: .* until step {end}, but train.steps is {end - 1}; .* {end}"
        ):
            make_config(name, train__steps=end - 1, **given)
        run = make_config(name, train__steps=end, **given)
        np.testing.assert_array_equal(presence_of(run)(arrays(run), end - 1), 1)


def test_at_the_last_stage_the_loss_is_the_ladders():
    overrides = {"model__allocation": (2, 1), "objective__kl_warmup": 10.0, "model__network": "ladder_elu"}
    pro = one_update(tiny.config(method__name="pro_vlae", method__fade=0.0, **overrides), DATASET, 5)[1]
    own = one_update(tiny.config(method__name="vlae", **overrides), DATASET, 5)[1]
    np.testing.assert_allclose(pro["loss_nats"], own["loss_nats"], rtol=1e-6)
    assert pro["stage"] == 2
    pro_penalty = penalty(make_config("pro_scale_vlae"), progressive_scale_aware, ALL)[0]
    assert pro_penalty == pytest.approx(penalty(make_config("scale_vlae"), scale_aware, ALL)[0], rel=1e-6)


def test_a_level_that_is_absent_or_fades_in_has_a_small_weight_and_only_the_latter_is_in_a_group():
    run = make_config("pro_vlae", method__beta=2.0, method__inactive=0.25)
    kl = penalty(run, progressive, ALL)[1]
    expected = 2 * (kl["kl_level3_nats"] + kl["kl_level2_nats"]) + 0.25 * kl["kl_level1_nats"]
    assert penalty(run, progressive, ALL, presence=TOP_TWO)[0] == pytest.approx(expected, rel=1e-5)

    run = make_config("pro_scale_vlae", method__beta=3.0, method__gamma=2.0, method__inactive=0.25)
    ladder = make_config("scale_vlae", (3, 2), method__beta=3.0, method__gamma=2.0)
    of_two = ALL._replace(
        codes=ALL.codes[:, :5],
        mean=ALL.mean[:, :5],
        log_variance=ALL.log_variance[:, :5],
        levels=ALL.levels[:2, :5],
    )
    terms = penalty(ladder, scale_aware, of_two)[1]
    of_level = [terms[f"kl_level{n}_nats"] + 2 * terms[f"total_correlation_level{n}_nats"] for n in (2, 1)]
    expected = of_level[0] + 0.3 * of_level[1] + 2 * terms["inter_nats"] + 0.25 * kl["kl_level1_nats"]
    assert penalty(run, progressive_scale_aware, ALL, presence=TOP_TWO)[0] == pytest.approx(expected, rel=1e-5)


def test_a_level_that_is_not_there_yet_is_trained_towards_the_prior():
    """Li et al. 2020: the fade multiplies what a level reads in its own stage only; before it, the level reads h."""
    settings = {"method__name": "pro_vlae", "model__allocation": (2, 1), "objective__kl_warmup": 0.0}
    run = tiny.config(**settings, train__steps=1000, model__network="")
    method = make_method(run, DATASET)
    first, terms = one_update(run, DATASET, step=0)
    second = one_update(run, DATASET, step=0, prepare=lambda _: first)[0]
    assert terms["kl_level1_nats"] > 1e-4 and terms["stage"] == 1
    assert np.abs(method.encode(first, DATASET.images(np.arange(8))).mean[:, 2]).max() > 0
    for name in ("ladder2", "mean2", "log_variance2"):
        before, after = (state.params["network"]["encoder"][name] for state in (first, second))
        for key in before:
            assert np.abs(before[key] - after[key]).max() > 1e-4, name


def test_a_level_draws_nothing_before_the_first_update_of_its_stage():
    run = tiny.config(method__name="pro_vlae", model__allocation=(2, 1))
    state = one_update(run, DATASET, step=0)[0]
    method = make_method(run, DATASET)
    codes = np.zeros((4, 3), np.float32)
    codes[:, 2] = [-3, -1, 1, 3]
    for step, moves in [(0, False), (3, False), (4, True), (6, True)]:  # updates that were made; the stage has 3
        images = np.asarray(method.decode(state._replace(step=np.int32(step)), codes))
        assert (np.ptp(images, axis=0).max() > 1e-6) == moves


@pytest.mark.parametrize("clear", [False, True])
def test_a_level_that_fades_in_speaks_through_a_part_of_its_noise_only_where_it_is_clear(clear):
    run = tiny.config(method__name="pro_scale_vlae", model__allocation=(2, 1), model__network="ladder_elu")
    images = DATASET.images(np.arange(8))
    model = make_autoencoder(run, ImageSpec(DATASET.image_shape, DATASET.size), clear)
    params, forward = jax.jit(model.init)(jax.random.key(0), arrays(run)), jax.jit(model.forward)
    found = [
        forward(params, arrays(run) | {"presence": np.float32([1, share])}, images, jax.random.key(1))
        for share in (0.25, 1.0)
    ]
    part, whole = ((each.codes - each.mean) / np.exp(0.5 * each.log_variance) for each in found)
    np.testing.assert_allclose(part[:, :2], whole[:, :2], atol=1e-5)
    np.testing.assert_allclose(part[:, 2], (0.25 if clear else 1.0) * whole[:, 2], atol=1e-5)
    assert np.array_equal(found[0].mean[:, 2], found[1].mean[:, 2]) == clear  # what it reads


def test_what_a_late_level_injects_can_be_pushed_to_nothing_and_come_back():
    def pushed(state):
        state.params["network"]["decoder"]["v2"]["bias"] -= 10
        return state

    run = tiny.config(method__name="pro_vlae", method__fade=0.0, model__allocation=(2, 1), model__network="")
    state = one_update(run, DATASET, step=5, prepare=pushed)[0]
    assert np.ptp(state.params["network"]["decoder"]["v2"]["bias"]) > 0  # of a relu the gradient would be 0


def test_a_run_that_stops_inside_the_second_stage_goes_on_there(tmp_path):
    run = Run("run", tiny.config(method__name="pro_vlae", method__fade=2.0, train__steps=12))
    whole, stopped = (tiny.claimed(tmp_path / name, run) for name in ("whole", "stopped"))
    expected = train_population([run], 0, DATASET, whole)[1]
    with pytest.raises(Stopped):
        train_population([run], 0, DATASET, stopped, stop=lambda: (stopped.checkpoints(0) / "8").exists())
    assert read_records(stopped.run("run") / "metrics.jsonl")[-1]["stage"] == 2
    assert_same(train_population([run], 0, DATASET, stopped)[1], expected)
