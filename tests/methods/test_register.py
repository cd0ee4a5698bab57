"""A method that is not in the package: it trains, goes on from a checkpoint and loads, as the package's own do."""

import numpy as np
import pytest

import scaledis
from scaledis import methods
from scaledis.core.errors import Stopped, UserError
from scaledis.methods.base.autoencoder import make_autoencoder
from scaledis.methods.base.elbo import make_penalized_method, mean_kl, stateless
from scaledis.methods.base.spec import Hyperparameter
from scaledis.training import loop
from scaledis.types import Run
from tests import assert_same, example_of, linear, tiny
from tests.methods import one_update

DATASET = tiny.dataset()


def squared_means(hyperparameters, posterior, key):
    size = (posterior.mean**2).sum(1).mean()
    return mean_kl(posterior) + hyperparameters["weight"] * size, {"size": size}


def build(config, images):
    """L = L_rec + w [ KL + weight sum m^2 ]."""
    return make_penalized_method(config, make_autoencoder(config, images), stateless(squared_means))


@pytest.fixture(params=["of this test", "of the README"])
def method(request, registered):
    """The name of a registered method."""
    if request.param == "of the README":
        exec(compile(example_of("Add a method", "README.md"), "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
        return "sparse_vae"
    weight = {"weight": Hyperparameter(0.5, "weight of the means")}
    registered("squared_means", build, equation="R = KL + weight sum m^2, by us", hyperparameters=weight)
    return "squared_means"  # a name that no other test registers: compiled programs are shared by name


def test_it_trains_goes_on_from_a_checkpoint_and_loads(method, tmp_path):
    run = Run("run", tiny.config(method__name=method, train__steps=6, objective__kl_warmup=0.0))
    whole = loop.train_population([run], 0, DATASET, tiny.claimed(tmp_path / "whole", run))[1]

    [model] = scaledis.train(run.config, DATASET, workdir=tmp_path / "door", callback=lambda step, terms: None)
    stopped = tiny.claimed(tmp_path / "stopped", run)
    with pytest.raises(Stopped):
        loop.train_population([run], 0, DATASET, stopped, stop=lambda: (stopped.checkpoints(0) / "2").exists())
    resumed = loop.train_population([run], 0, DATASET, stopped)[1]
    assert_same(resumed, whole)

    loaded = scaledis.load_run(tmp_path / "door")
    assert loaded.config == run.config and loaded.step == 6
    assert_same(loaded.state, model.state)
    images = np.asarray(DATASET.images(np.arange(4)))
    np.testing.assert_array_equal(loaded.encode(images).mean, model.encode(images).mean)


def test_the_example_of_the_readme_is_its_equation(registered):
    exec(compile(example_of("Add a method", "README.md"), "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
    spec = methods.choose("sparse_vae")
    assert spec.hyperparameters.keys() == {"strength"} and spec.equation.startswith(
        "R = KL(q(z | x) || p(z)) + strength"
    )
    run = tiny.config(method__name="sparse_vae", method__strength=3.0, objective__kl_warmup=0.0)
    _, terms = one_update(run, DATASET)
    penalty = float(terms["kl_nats"] + 3 * terms["size"])
    assert float(terms["regularization_nats"]) == pytest.approx(penalty, rel=1e-6) and terms["size"] > 0
    plain, _ = one_update(tiny.config(method__name="vae", model__network="", objective__kl_warmup=0.0), DATASET)
    still, _ = one_update(
        tiny.config(method__name="sparse_vae", method__strength=0.0, objective__kl_warmup=0.0), DATASET
    )
    assert_same(plain.params, still.params)


@pytest.mark.parametrize("names", [["step"], ["diverged"], ["loss_nats", "codes"], []])
def test_terms_that_a_log_cannot_have_are_one_sentence(names, registered):
    linear.register()
    method = methods.choose("linear")

    def build_wrong(config, images):
        def update(state, batch, key):
            state, terms = made.update(state, batch, key)
            found = terms | dict.fromkeys(["step", "diverged"], 0.0) | {"codes": state[0][0]}
            return state, {name: found[name] for name in names}

        made = method.build(config, images)
        return made._replace(update=update)

    registered("wrong", build_wrong, equation="R", flat=False)
    wrong = f"'{names[-1]}' of shape .* must be one number" if names else "there are none"
    with pytest.raises(UserError, match=f"terms of update: {wrong}"):
        scaledis.train(tiny.config(method__name="wrong", train__steps=2, model__network=""), DATASET)


@pytest.mark.parametrize("name", ["loss_nats", "kl_nats"])
def test_a_term_of_a_penalty_does_not_take_the_place_of_a_term_of_every_method(name, registered):
    def build_twice(config, images):
        penalty = stateless(lambda hyperparameters, posterior, key: (mean_kl(posterior), {name: 0.0}))
        return make_penalized_method(config, make_autoencoder(config, images), penalty)

    registered("twice", build_twice, equation="R")
    with pytest.raises(UserError, match=f"terms: '{name}' is logged by another part"):
        _ = tiny.population([tiny.config(method__name="twice")], DATASET).terms


def test_it_is_a_choice_as_long_as_it_is_registered_and_can_be_registered_again(registered):
    with pytest.raises(UserError, match="method: 'mine' is unknown"):
        scaledis.make_config("mine")
    for value in (0.5, 0.7):  # as a notebook's cell that is run twice
        registered("mine", build, equation="R = x", hyperparameters={"weight": Hyperparameter(value, "a weight")})
        assert scaledis.make_config("mine").method.hyperparameters == {"weight": value}
    with pytest.raises(UserError, match=r"method \(mine\): 'beta' is unknown"):
        scaledis.make_config("mine", {"method.beta": 2.0})
