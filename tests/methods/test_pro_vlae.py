import flax.linen as nn
import numpy as np
import pytest

from scaledis import population, train
from scaledis.methods.pro_vlae import presence_of, progressive, progressive_scale_aware
from scaledis.workdir import Workdir, read_records
from tests import tiny
from tests.methods import arrays, config, inference, of_weights, one_update
from tests.test_train import assert_same, final, members, never

DATASET = tiny.dataset()
ALL, TOP_TWO = inference(), inference(present=(1, 0.3, 0))


@pytest.mark.parametrize("fade", [0.0, 4.0])
def test_levels_come_from_the_top_one_a_stage_and_fade_in(fade):
    run = config("pro_vlae", method__fade=fade, train__steps=30)
    presence = presence_of(run)
    seen = np.stack([presence(arrays(run), step) for step in range(30)])
    np.testing.assert_array_equal(seen[:10], np.tile([1, 0, 0], (10, 1)))
    np.testing.assert_array_equal(seen[14:20], np.tile([1, 1, 0], (6, 1)))
    np.testing.assert_array_equal(seen[24:], np.ones((6, 3)))
    np.testing.assert_allclose(seen[10:14, 1], [0.25, 0.5, 0.75, 1] if fade else 1)
    np.testing.assert_array_equal(seen[20:24, 2], seen[10:14, 1])


def test_at_the_last_stage_the_loss_is_the_ladders(monkeypatch):
    overrides = {"model__allocation": (2, 1), "objective__kl_warmup": 10.0}
    monkeypatch.setattr("flax.linen.relu", nn.elu)  # on the network of the progressive ladder
    pro = one_update(tiny.config(method__name="pro_vlae", method__fade=0.0, **overrides), DATASET, 5)[1]
    own = one_update(tiny.config(method__name="vlae", **overrides), DATASET, 5)[1]
    np.testing.assert_allclose(pro["loss_nats"], own["loss_nats"], rtol=1e-6)
    assert pro["stage"] == 2
    pro = of_weights(config("pro_scale_vlae"), progressive_scale_aware, ALL)[0]
    assert float(pro) == pytest.approx(float(of_weights(config("scale_vlae"), tc.scale_aware, ALL)[0]), rel=1e-6)


def test_an_absent_level_has_a_small_kl_weight_and_is_in_no_group():
    run = config("pro_vlae", method__beta=2.0, method__inactive=0.25)
    kl = of_weights(run, progressive, ALL)[1]
    expected = 2 * (kl["kl_level3_nats"] + kl["kl_level2_nats"]) + 0.25 * kl["kl_level1_nats"]
    assert float(of_weights(run, progressive, TOP_TWO)[0]) == pytest.approx(float(expected), rel=1e-5)

    run = config("pro_scale_vlae", method__beta=3.0, method__gamma=2.0, method__inactive=0.25)
    ladder = config("scale_vlae", (3, 2), method__beta=3.0, method__gamma=2.0)
    of_two = ALL._replace(
        codes=ALL.codes[:, :5],
        mean=ALL.mean[:, :5],
        log_variance=ALL.log_variance[:, :5],
        levels=ALL.levels[:2, :5],
        presence=ALL.presence[:2],
    )
    expected = of_weights(ladder, tc.scale_aware, of_two)[0] + 0.25 * kl["kl_level1_nats"]
    assert float(of_weights(run, progressive_scale_aware, TOP_TWO)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_a_level_that_is_not_there_yet_is_trained_towards_the_prior():
    """Li et al. 2020: the fade multiplies what a level reads in its own stage only; before it, the level reads h."""
    settings = {"method__name": "pro_vlae", "model__allocation": (2, 1), "objective__kl_warmup": 0.0}
    run = tiny.config(**settings, train__steps=1000)
    method = population.build([run], DATASET)
    first, terms = one_update(run, DATASET, step=0)
    second = one_update(run, DATASET, step=0, prepare=lambda _: first)[0]
    assert terms["kl_level1_nats"] > 1e-4 and terms["stage"] == 1
    assert np.abs(method.encode(first, DATASET.images(np.arange(8))).mean[:, 2]).max() > 0
    for name in ("ladder2", "mean2", "log_variance2"):
        before, after = (state.params["network"]["encoder"][name] for state in (first, second))
        for key in before:
            assert np.abs(before[key] - after[key]).max() > 1e-4, name


def test_a_level_that_is_not_there_yet_draws_nothing():
    run = tiny.config(method__name="pro_vlae", model__allocation=(2, 1))
    state = one_update(run, DATASET, step=0)[0]
    method = population.build([run], DATASET)
    codes = np.zeros((4, 3), np.float32)
    codes[:, 2] = [-3, -1, 1, 3]
    for step, moves in [(0, False), (5, True)]:
        images = np.asarray(method.decode(state._replace(step=np.int32(step)), codes))
        assert (np.ptp(images, axis=0).max() > 1e-6) == moves


def test_what_a_late_level_injects_can_be_pushed_to_nothing_and_come_back():
    def pushed(state):
        state.params["network"]["decoder"]["v2"]["bias"] -= 10
        return state

    run = tiny.config(method__name="pro_vlae", method__fade=0.0, model__allocation=(2, 1))
    state = one_update(run, DATASET, step=5, prepare=pushed)[0]
    assert np.ptp(state.params["network"]["decoder"]["v2"]["bias"]) > 0  # of a relu the gradient would be 0


def test_a_run_that_stops_inside_the_second_stage_goes_on_there(tmp_path):
    settings = {"method__name": "pro_vlae", "method__fade": 2.0, "train__steps": 12}
    whole, stopped = Workdir(tmp_path / "whole"), Workdir(tmp_path / "stopped")
    train.train(members(**settings), 0, DATASET, whole, never)
    with pytest.raises(train.Stopped):
        train.train(members(**settings), 0, DATASET, stopped, lambda: (stopped.checkpoints(0) / "8").exists())
    assert read_records(stopped.run("run") / "metrics.jsonl")[-1]["stage"] == 2
    train.train(members(**settings), 0, DATASET, stopped, never)
    assert_same(final(stopped, **settings), final(whole, **settings))
