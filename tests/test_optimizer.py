import numpy as np
import optax
import pytest

from scaledis.methods.base import optimizer


@pytest.mark.parametrize(
    ("spec", "factors"),
    [
        ("constant", [1, 1, 1]),
        ("linear", [1, 0.5, 0]),
        ("cosine", [1, 0.5, 0]),
        ("warmup", [0, 0.5, 1]),
        ("warmup:50", [0, 1, 1]),
        ("linear:50", [1, 0, 0]),
        ("warmup:50:0.25", [0.25, 1, 1]),
        ("linear:100:0.5", [1, 0.75, 0.5]),
        ("cosine:100:.1", [1, 0.55, 0.1]),
        ("constant:100:0.2", [1, 1, 1]),
    ],
)
def test_schedules_are_factors_over_the_steps(spec, factors):
    schedule = optimizer.make_schedule("schedule.beta", spec, 100)
    np.testing.assert_allclose([schedule(step) for step in (0, 50, 100)], factors, atol=1e-6)


def test_warmup_cosine_is_optax_own():
    ours = optimizer.make_schedule("schedule.learning_rate", "warmup_cosine", 100)
    theirs = optax.warmup_cosine_decay_schedule(0, 1, 5, 100)
    assert [float(ours(step)) for step in range(0, 101, 10)] == [float(theirs(step)) for step in range(0, 101, 10)]


@pytest.mark.parametrize("name", optimizer.SCHEDULES)
def test_a_schedule_over_a_single_step_is_a_factor(name):
    for spec, steps in ((name, 1), (f"{name}:1:0.25", 100)):
        schedule = optimizer.make_schedule("schedule.beta", spec, steps)
        assert all(0 <= float(schedule(step)) <= 1 for step in range(4))
    assert float(schedule(0)) == (0.25 if name.startswith("warmup") else 1)


@pytest.mark.parametrize(
    "spec",
    ["warm", "warmup:0", "warmup:x", "cosine:1.5", "warmup:9:1.5", "warmup:9:", "warmup:9:-.5", "warmup:9:.5:1", ":9"],
)
def test_what_is_no_schedule_is_an_error_that_names_the_key(spec):
    with pytest.raises(ValueError, match="schedule.beta: "):
        optimizer.make_schedule("schedule.beta", spec, 100)


def test_only_what_has_a_schedule_is_driven():
    schedules = {"beta": optimizer.make_schedule("schedule.beta", "warmup", 10)}
    assert optimizer.at_step({"beta": 4.0, "gamma": 3.0}, schedules, 5) == {"beta": 2.5, "gamma": 3.0}


def test_precision_drives_one_over_sigma_squared():
    schedules = {"precision": optimizer.make_schedule("schedule.precision", "warmup", 100)}
    sigmas = [float(optimizer.at_step({"sigma": 0.5}, schedules, step)["sigma"]) for step in (0, 25, 100, 200)]
    np.testing.assert_allclose(sigmas, [0.5 / 1e-3**0.5, 1.0, 0.5, 0.5], rtol=1e-6)


def test_a_schedule_multiplies_what_a_weight_adds_to_the_elbo():
    schedules = {key: optimizer.make_schedule(f"schedule.{key}", "warmup", 10) for key in ("beta", "gamma")}
    assert optimizer.at_step({"beta": 4.0, "gamma": 3.0}, schedules, 0) == {"beta": 1.0, "gamma": 0.0}
    assert optimizer.at_step({"beta": 4.0, "gamma": 3.0}, schedules, 10) == {"beta": 4.0, "gamma": 3.0}
