"""A network that is not in the package: the example of docs/extending.md trains and loads, as the package's own do."""

import jax.numpy as jnp
import numpy as np
import pytest

import scaledis
from scaledis import methods, networks
from scaledis.core.errors import UserError
from scaledis.networks.ladder import make_ladder
from scaledis.objectives import partition
from scaledis.sweeps import plan
from scaledis.sweeps.configs import freeze
from tests import assert_same, example_of, linear, tiny
from tests.methods import make_method, one_update

DATASET = tiny.dataset()
SPEC = scaledis.ImageSpec(DATASET.image_shape, DATASET.size)
IMAGES = np.asarray(DATASET.images(np.arange(8)))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The network `dense` of the documentation, gone after the test."""
    monkeypatch.setattr(networks.REGISTRY, "registered", {})
    exec(compile(example_of("A network"), "extending.md", "exec"), {"__name__": "extending"})  # noqa: S102


def test_it_trains_and_loads(tmp_path):
    config = tiny.config(model__network="dense", train__steps=60, train__learning_rate=0.003)
    losses = []
    [model] = scaledis.train(
        config, DATASET, workdir=tmp_path, callback=lambda step, terms: losses.append(float(terms["loss_nats"][0]))
    )
    assert losses[-1] < losses[0] - 10
    loaded = scaledis.load_run(tmp_path)
    assert loaded.config == config and config.model.network == "dense"
    assert_same(loaded.state, model.state)


def test_a_model_is_the_network_itself_with_the_batch_innermost():
    config = tiny.config(model__network="dense", model__allocation=(2, 1))
    [model] = scaledis.train(config, DATASET)
    network = networks.make(config, SPEC)
    params, pixels = {"params": model.state.params["network"]}, IMAGES.transpose(3, 1, 2, 0) / np.float32(255)
    mean, log_variance = network.apply(params, pixels, jnp.ones(2), method="encode")
    codes = model.encode(IMAGES)
    np.testing.assert_allclose(codes.mean, mean.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(codes.log_variance, log_variance.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(codes.levels, [0, 0, 1])
    output = network.apply(params, mean, jnp.ones(2), method="decode")
    np.testing.assert_allclose(model.decode(codes.mean), np.clip(output, 0, 1).transpose(3, 1, 2, 0), atol=1e-5)
    assert np.ptp(output) > 1e-3


def test_a_progressive_method_tells_it_which_levels_there_are():
    Dense = type(networks.make(tiny.config(model__network="dense"), SPEC))

    class Fading(Dense):
        def decode(self, codes, presence):
            return super().decode((presence @ partition.levels(self.allocation))[:, None] * codes, presence)

    scaledis.register_network("fading", lambda config, images: Fading(config.model.allocation, images.shape))
    config = tiny.config(method__name="pro_vlae", model__network="fading")
    method, state = make_method(config, DATASET), one_update(config, DATASET, step=0)[0]
    codes = np.float32([[0, 0, -3], [0, 0, 3]])
    for step, moves in [(0, False), (5, True)]:
        images = np.asarray(method.decode(state._replace(step=np.int32(step)), codes))
        assert (np.ptp(images, axis=0).max() > 1e-6) == moves


def test_runs_of_other_allocations_train_with_it_only_if_it_pads():
    scaledis.register_network("padding", make_ladder, pads=True)
    for name, shared in [("ladder", True), ("padding", True), ("dense", False)]:
        one, other = (
            plan.shared(tiny.config(model__network=name, model__allocation=allocation))
            for allocation in [(2, 1), (1, 3)]
        )
        assert (one == other) == shared, name
        one, other = (plan.shared(tiny.config(model__network=name, model__parameters=size)) for size in (6000, 9000))
        assert (one == other) == shared, name


def test_a_saved_model_of_a_network_or_method_that_is_not_registered_names_it_and_the_door(tmp_path, monkeypatch):
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    linear.register()
    for name, own in {
        "dense": {"model__network": "dense"},
        "linear": {"method__name": "linear", "model__network": ""},
    }.items():
        [model] = scaledis.train(tiny.config(train__steps=2, **own), DATASET, workdir=tmp_path / "runs" / name)
        model.save(tmp_path / name)
    for noun, registry, name in (("network", networks.REGISTRY, "dense"), ("method", methods.REGISTRY, "linear")):
        monkeypatch.setattr(registry, "registered", {})
        known = "ladder, ladder_elu" if noun == "network" else "alpha_tcvae, .*, vlae"
        door = f"A {noun} of your own must be registered first, by scaledis.register_{noun}"
        with pytest.raises(UserError, match=f"{noun}.*: '{name}' is unknown.* Choices: {known}. {door}"):
            scaledis.load_model(tmp_path / name)
        with pytest.raises(UserError, match=door):
            scaledis.load_run(tmp_path / "runs" / name)


def test_what_is_no_network_is_one_sentence():
    def refuse(config):
        raise UserError("model.allocation: it is not for picky.")

    scaledis.register_network("nothing", lambda config, images: None)
    scaledis.register_network("picky", make_ladder, check=refuse)
    with pytest.raises(UserError, match="make of nothing: None must be a Network"):
        scaledis.train(tiny.config(model__network="nothing"), DATASET)
    with pytest.raises(UserError, match="model.allocation: it is not for picky"):
        tiny.config(model__network="picky")
    with pytest.raises(UserError, match="name: 'ladder' is among the networks of scaledis"):
        scaledis.register_network("ladder", make_ladder)
    with pytest.raises(UserError, match="model.network: 'dense' has no use; nvae has a network of its own"):
        tiny.config(method__name="nvae", model__network="dense")


def test_an_empty_name_is_the_methods_own():
    configs = {
        name: tiny.config(method__name=name, model__network="") for name in ("vae", "scale_vlae", "pro_vlae", "nvae")
    }
    found = {name: methods.network_name(config) for name, config in configs.items()}
    assert found == {"vae": "ladder", "scale_vlae": "ladder", "pro_vlae": "ladder_elu", "nvae": ""}
    before_there_were_names = tiny.plain(model__network="")
    del before_there_were_names["model"]["network"]
    assert freeze(before_there_were_names) == tiny.config(model__network="")
