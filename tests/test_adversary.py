import jax.numpy as jnp
import numpy as np
import pytest

from scaledis.config import Config, Train
from scaledis.core.errors import UserError
from scaledis.methods.base import adversary, optimizer

ADAM = optimizer.make_adam()


def follow(held, accuracy, steps):
    for _ in range(steps):
        held, terms = adversary.follow(held, lambda params: (params["bias"] ** 2, jnp.float32(accuracy)), ADAM, 1e-3)
    return held, terms


def test_a_discriminator_that_has_won_outright_is_no_number():
    winning, terms = follow(adversary.make_adversary({"bias": jnp.zeros(())}, ADAM), 1.0, 20)
    assert np.isfinite(terms["discriminator_nats"]) and 0.5 < winning.accuracy < 1
    _, terms = follow(winning._replace(accuracy=jnp.float32(0.99995)), 1.0, 1)
    assert np.isnan(terms["discriminator_nats"])
    _, terms = follow(winning._replace(accuracy=jnp.float32(0.9998)), 0.98, 1)
    assert np.isfinite(terms["discriminator_nats"])


def test_the_accuracy_is_a_running_mean_over_a_hundred_steps():
    held = adversary.make_adversary({"bias": jnp.ones(())}, ADAM)
    assert float(held.accuracy) == 0.5
    after, terms = follow(held, 1.0, 3)
    assert float(after.accuracy) == pytest.approx(1 - 0.5 * 0.99**3, rel=1e-6)
    assert float(terms["discriminator_accuracy"]) == 1
    assert float(after.params["bias"]) == pytest.approx(1 - 3e-3, rel=1e-4)  # Adam's steps, down a square from 1


@pytest.mark.parametrize("batch", [2, 3])
def test_a_batch_needs_two_halves_of_two(batch):
    adversary.check_batch(Config(train=Train(batch=4)))
    with pytest.raises(UserError, match=f"train.batch: {batch} is too small"):
        adversary.check_batch(Config(train=Train(batch=batch)))
