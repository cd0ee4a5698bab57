import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaledis.core.streams import stream
from scaledis.methods import dava
from scaledis.methods.base.autoencoder import standard_normal
from scaledis.methods.dava import next_capacity, resample
from scaledis.networks import discriminator
from scaledis.networks.ladder import make_ladder
from scaledis.types import ImageSpec
from scaledis.workdir.checkpoint import Checkpoints
from tests import tiny
from tests.methods import one_update

DATASET = tiny.dataset()
CLIP, RATE, FORCE = 0.5, 0.01, 3.0  # of both gradients; of the autoencoder; 100 (accuracy of D - 1/2)
CONFIG = tiny.config(
    method__name="dava",
    model__network="",
    method__encoder=2.0,
    method__decoder=0.5,
    train__gradient_clip=CLIP,
    train__learning_rate=RATE,
    discriminator__learning_rate=1e-3,
)
WEIGHTS = CONFIG.method.hyperparameters
SIGMA = CONFIG.objective.sigma


def prepared(state):
    """A discriminator that is right on 53 percent, so that the adversarial terms weigh; a capacity; images that vary.

    Images of one color, as an untrained decoder's, leave instance normalization nothing but rounding to magnify. The
    discriminator's params are doubled: its gradient is then long enough to be clipped.
    """
    decoder = state.params["network"]["decoder"]
    output = {"kernel": 3 * decoder["f0"]["kernel"], "bias": decoder["f0"]["bias"] + 0.5}
    network = {**state.params["network"], "decoder": {**decoder, "f0": output}}
    adversary = state.extra.adversary
    adversary = adversary._replace(params=jax.tree.map(lambda leaf: 2 * leaf, adversary.params))
    extra = state.extra._replace(
        adversary=adversary, accuracy=jnp.float32(0.5 + FORCE / 100), capacity=jnp.float32(0.2)
    )
    return state._replace(params={"network": network}, extra=extra)


@pytest.fixture(scope="module")
def step():
    """The state before a step, that after it, its terms, and what an independent version sees of it."""
    held = {}

    def prepare(state):
        held["before"] = prepared(state)
        return held["before"]

    after, terms = one_update(CONFIG, DATASET, 0, prepare)
    return held["before"], after, terms


class Plain:
    """The equations of DAVA on one batch, written down once more."""

    def __init__(self, before):
        self.ladder = make_ladder(CONFIG, ImageSpec(DATASET.image_shape, DATASET.size))
        self.network = discriminator.OfImages(CONFIG.model.channels)
        self.extra = before.extra
        images = np.asarray(DATASET.images(np.arange(CONFIG.train.batch)))
        self.pixels = images.transpose(3, 1, 2, 0) / np.float32(255)
        self.key = jax.random.key(1)
        self.noise = standard_normal(stream(self.key, "noise"), CONFIG.model.allocation, CONFIG.train.batch)

    def encode(self, params):
        network = {"params": params["network"]}
        mean, log_variance = self.ladder.apply(network, self.pixels, jnp.ones(1), method="encode")
        return mean.T, log_variance.T, mean.T + jnp.exp(log_variance.T / 2) * self.noise

    def decode(self, params, codes):
        return self.ladder.apply({"params": params["network"]}, codes.T, jnp.ones(1), method="decode")

    def terms(self, params):
        """Reconstruction and KL in nats per image."""
        mean, log_variance, codes = self.encode(params)
        error = jnp.square(self.pixels - self.decode(params, codes)).sum() / CONFIG.train.batch
        nll = error / (2 * SIGMA**2) + self.pixels[..., 0].size * jnp.log(SIGMA * jnp.sqrt(2 * jnp.pi))
        kl = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1).mean()
        return nll, kl

    def of_autoencoder(self, params):
        nll, kl = self.terms(params)
        return nll + WEIGHTS["gamma"] * (kl / 3 - self.extra.capacity) ** 4

    def images(self, params, for_encoder, for_decoder):
        """Decoded from codes, and from codes resampled; only what is asked for has a gradient."""
        still = jax.lax.stop_gradient(params)
        decoded = jnp.clip(self.decode(still, self.encode(params if for_encoder else still)[2]), 0, 1)
        codes = resample(self.encode(still)[2], stream(self.key, "shuffle"))
        return decoded, jnp.clip(self.decode(params if for_decoder else still, codes), 0, 1)

    def adversarial(self, params):
        """Sums over the batch, before their weights: the encoder's, the decoder's."""
        decoded = self.images(params, True, False)[0]
        shuffled = self.images(params, False, True)[1]
        on_decoded, on_shuffled = (
            self.network.apply(self.extra.adversary.params, each) for each in (decoded, shuffled)
        )
        encoder = -FORCE * jnp.log(jax.nn.sigmoid(-on_decoded)).sum()
        return encoder, -min(FORCE, 1) * jnp.log(jax.nn.sigmoid(on_shuffled)).sum()

    def of_adversary(self, params):
        encoder, decoder = self.adversarial(params)
        return WEIGHTS["encoder"] * encoder + WEIGHTS["decoder"] * decoder

    def of_discriminator(self, discriminator_params, params):
        smooth = 0.6 * jax.random.uniform(stream(self.key, "extra"), (2, CONFIG.train.batch))
        decoded, shuffled = self.images(params, False, False)
        on_decoded, on_shuffled = (self.network.apply(discriminator_params, each) for each in (decoded, shuffled))
        on_decoded, on_shuffled = jax.nn.sigmoid(on_decoded), jax.nn.sigmoid(on_shuffled)
        right, wrong = 1 - smooth[0], smooth[1]
        nats = -(right * jnp.log(on_decoded) + (1 - right) * jnp.log(1 - on_decoded)).mean()
        return 0.5 * (nats - (wrong * jnp.log(on_shuffled) + (1 - wrong) * jnp.log(1 - on_shuffled)).mean())


def norm_of(gradient):
    return np.sqrt(sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(gradient)))


def assert_close(found, expected, **tolerance):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def test_the_adversarial_terms_are_sums_over_the_batch_and_no_part_of_the_loss(step):
    before, _, terms = step
    plain = Plain(before)
    encoder, decoder = jax.jit(plain.adversarial)(before.params)
    nll, kl = jax.jit(plain.terms)(before.params)
    assert float(terms["adversarial_encoder"]) == pytest.approx(float(encoder), rel=1e-4)
    assert float(terms["adversarial_decoder"]) == pytest.approx(float(decoder), rel=1e-4)
    assert float(encoder) > CONFIG.train.batch  # about FORCE log 2 for each of 8 images
    assert float(terms["reconstruction_nats"]) == pytest.approx(float(nll), rel=1e-4)
    assert float(terms["kl_nats"]) == pytest.approx(float(kl), rel=1e-4)
    assert float(terms["loss_nats"]) == pytest.approx(float(jax.jit(plain.of_autoencoder)(before.params)), rel=1e-4)


def test_the_adversarial_gradient_is_clipped_apart_from_the_reconstructions(step):
    """Two gradients, each scaled to its own norm, one Adam step of optax' own."""
    before, after, _ = step
    plain = Plain(before)
    gradients = [jax.jit(jax.grad(loss))(before.params) for loss in (plain.of_autoencoder, plain.of_adversary)]
    norms = [norm_of(gradient) for gradient in gradients]
    assert norms[0] > 100 * norms[1] > 2000 * CLIP
    summed = jax.tree.map(lambda a, b: CLIP * (a / norms[0] + b / norms[1]), *gradients)
    # After one step Adam's moments are the gradient and its square.
    (moments,) = [part for part in jax.tree.leaves(after.optimizer, is_leaf=is_moments) if is_moments(part)]
    assert_close(moments.mu, jax.tree.map(lambda leaf: 0.1 * leaf, summed), rtol=2e-3, atol=1e-6)
    expected = optax.apply_updates(before.params, optax.adam(RATE).update(summed, optax.adam(RATE).init(summed))[0])
    together = jax.tree.map(lambda a, b: (a + b) * CLIP / norm_of(jax.tree.map(jnp.add, *gradients)), *gradients)
    sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(jax.tree.map(jnp.subtract, summed, together))]
    assert max(sizes) > 0.05  # clipped as one, the adversarial gradient is hardly there
    moved = jax.tree.map(lambda gradient: np.abs(gradient) > 1e-4, summed)  # the sign of less is that of rounding
    for found, wanted, where in zip(*map(jax.tree.leaves, (after.params, expected, moved)), strict=True):
        np.testing.assert_allclose(np.asarray(found)[where], np.asarray(wanted)[where], rtol=1e-4, atol=1e-5)


def is_moments(part):
    return isinstance(part, optax.ScaleByAdamState)


def test_the_discriminator_follows_the_published_adam_with_its_gradient_clipped_at_one(step):
    before, after, _ = step
    plain = Plain(before)
    held = before.extra.adversary.params
    gradient = jax.jit(jax.grad(plain.of_discriminator))(held, before.params)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3, b1=0.9, b2=0.999))
    expected = optax.apply_updates(held, adam.update(gradient, adam.init(held))[0])
    norm = norm_of(gradient)
    assert norm > 1.5
    clipped = jax.tree.map(lambda leaf: leaf / norm, gradient)
    (moments,) = [part for part in jax.tree.leaves(after.extra, is_leaf=is_moments) if is_moments(part)]
    assert_close(moments.mu, jax.tree.map(lambda leaf: 0.1 * leaf, clipped), rtol=2e-3, atol=1e-6)
    assert_close(moments.nu, jax.tree.map(lambda leaf: 0.001 * leaf**2, clipped), rtol=4e-3, atol=1e-8)
    moved = jax.tree.map(lambda gradient: np.abs(gradient) > 1e-4, clipped)
    for found, wanted, where in zip(
        *map(jax.tree.leaves, (after.extra.adversary.params, expected, moved)), strict=True
    ):
        np.testing.assert_allclose(np.asarray(found)[where], np.asarray(wanted)[where], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("accuracy", "moves"), [(0.3, 1), (0.5, 1), (0.501, 1), (0.505, 0), (0.51, 0), (0.52, -1), (1.0, -1)]
)
def test_the_capacity_moves_by_the_stated_step(accuracy, moves):
    found = next_capacity(jnp.float32(0.7), jnp.float32(accuracy), jnp.float32(4e-5), jnp.float32(8))
    assert float(found) - 0.7 == pytest.approx(moves * 4e-5, abs=1e-7)


def test_the_capacity_has_a_ceiling_and_no_floor():
    up, down = (
        next_capacity(jnp.float32(start), jnp.float32(accuracy), 0.5, 8.0) for start, accuracy in [(7.9, 0.0), (0.1, 1)]
    )
    assert float(up) == 8 and float(down) == pytest.approx(-0.4)


def test_the_published_step_is_half_a_batch_of_the_published_ramp():
    """The published code raises C to its highest value over 12.8 million images, half a batch at a time."""
    spec = dava.METHODS["dava"]
    settings = spec.settings_for("shapes3d")
    highest = spec.hyperparameters["highest_capacity"].default
    assert settings["method.capacity_step"] == pytest.approx(highest * (settings["train.batch"] / 2) / 12.8e6)
    assert spec.hyperparameters["capacity_step"].default == settings["method.capacity_step"]


def test_codes_are_resampled_per_unit_with_replacement():
    codes = jnp.arange(400.0).reshape(100, 4)
    drawn = np.asarray(resample(codes, jax.random.key(0)))
    for unit in range(4):
        assert set(drawn[:, unit]) < set(np.asarray(codes[:, unit]))  # some twice, so some not at all
        assert 50 < len(set(drawn[:, unit])) < 80  # 1 - 1/e of them
    assert len(np.unique(drawn - np.arange(4), axis=0)) == 100


def test_the_capacity_is_in_the_checkpoint(tmp_path):
    members = tiny.population([tiny.config(method__name="dava", method__capacity_step=0.01, train__steps=4)], DATASET)
    runs, _ = members.make_advance(DATASET)(members.init(), 1)
    assert abs(float(runs.state.extra.capacity[0])) in (0, pytest.approx(0.01))
    extra = runs.state.extra._replace(capacity=jnp.full(1, 0.37))
    runs = runs._replace(state=runs.state._replace(extra=extra))
    Checkpoints(tmp_path, 1).save(1, runs, {})
    step, restored = Checkpoints(tmp_path, 1).restore_newest(members.shapes)
    assert step == 1 and float(restored.state.extra.capacity[0]) == pytest.approx(0.37)
