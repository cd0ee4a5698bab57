"""What holds for every method: it learns, goes on bit for bit after a stop, and padded is the run that it is alone."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

from scaledis import methods
from scaledis.training.extract import without_padding
from scaledis.training.population import Population, select
from scaledis.training.program import one_device
from scaledis.training.steps import Advance
from scaledis.workdir.checkpoint import Checkpoints
from tests import assert_same, tiny

DATASET = tiny.rendered()
STEPS = 160
# So few steps must do for the capacity of DAVA, whose discriminator needs images that are not all of one color.
QUICK = {"dava": {"method__capacity_step": 0.006, "model__network": ""}}


def configs(name, **overrides):
    """Two runs that pad each other, of 3 units but for a flat method's second one."""
    settings = {"objective__kl_warmup": 100.0, "train__steps": STEPS, **QUICK.get(name, {}), **overrides}
    flat = methods.choose(name).flat
    sizes = [{"model__latents": n} if flat else {"model__allocation": (n, 3 - n)} for n in ((3, 2) if flat else (2, 1))]
    return [tiny.config(method__name=name, seed=seed, **settings, **size) for seed, size in enumerate(sizes)]


class Trained(NamedTuple):
    """A population and its compiled steps."""

    population: Population
    advance: Advance


def make(configs):
    members = tiny.population(configs, DATASET, one_device())
    return Trained(members, members.make_advance(DATASET))


class Pair(NamedTuple):
    """Two runs of a method."""

    name: str
    trained: Trained


# A method that shares the program of another is that one with other numbers; its own tests say which.
PROGRAMS = [name for name, spec in methods.specs().items() if not spec.program]


@pytest.fixture(scope="module", params=PROGRAMS)
def pair(request):
    """Traced once for both tests of a method."""
    return Pair(request.param, make(configs(request.param)))


def check_codes_and_images(members, runs):
    """Codes are as long as the allocation and in its order, and decoded images are images."""
    model, images = members.model(runs, 0), np.asarray(DATASET.images(np.arange(8)))
    codes = model.encode(images)
    decoded = model.decode(codes.mean)
    assert codes.mean.shape == codes.log_variance.shape == (8, 3)
    allocation = model.config.model.allocation
    np.testing.assert_array_equal(codes.levels, np.repeat(range(len(allocation)), allocation))
    assert decoded.shape == images.shape and decoded.min() >= 0 and decoded.max() <= 1


def test_it_learns_and_goes_on_bit_for_bit_after_a_stop(pair, tmp_path):
    both = pair.trained
    runs, first = both.advance(both.population.init(), 10)
    runs, _ = both.advance(runs, 90)
    Checkpoints(tmp_path, 1).save(100, runs, {})
    runs, _ = both.advance(runs, 30)
    whole, last = both.advance(runs, 30)
    assert all(np.isfinite(value).all() for value in last.values())
    assert (last["loss_nats"] < first["loss_nats"] - 10).all()
    assert (last["reconstruction_nats"] < first["reconstruction_nats"] - 10).all()

    step, runs = Checkpoints(tmp_path, 1).restore_newest(both.population.shapes)
    resumed, _ = both.advance(runs, STEPS - step)
    assert_same(whole, resumed)
    check_codes_and_images(both.population, resumed)


def test_a_padded_member_of_a_pair_is_the_run_that_it_is_alone(pair):
    together, alone = pair.trained, make(configs(pair.name)[1:])
    assert together.population.allocation != alone.population.allocation

    def own(runs):
        """The second run without its padding."""
        return without_padding(jax.device_get(select(runs, 1)), together.population, alone.population)

    start = together.population.init()
    begun = jax.tree.map(
        lambda leaf, like: jax.device_put(leaf[None], like.sharding), own(start), alone.population.shapes
    )
    found, found_terms = jax.device_get(alone.advance(begun, 3))
    runs, terms = together.advance(start, 3)
    for key, term in jax.device_get(terms).items():
        np.testing.assert_allclose(term[1], found_terms[key][0], rtol=2e-3, atol=2e-3, err_msg=key)
    for a, b in zip(jax.tree.leaves(own(runs)), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b[0], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(("name", "likelihood"), [("beta_vae", "bernoulli"), ("nvae", "gaussian_learned")])
def test_every_likelihood_goes_with_every_kind_of_method(name, likelihood):
    alone = make(configs(name, objective__likelihood=likelihood)[:1])
    runs, first = alone.advance(alone.population.init(), 5)
    _, last = alone.advance(runs, 60)
    assert last["reconstruction_nats"][0] < first["reconstruction_nats"][0] - 3
    assert (last["sigma"][0] != 0.5) == (likelihood == "gaussian_learned")
