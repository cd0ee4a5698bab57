"""What short number formats do to the loss, to the estimated total correlation and to the gradient of a trained ladder.

    python -m experiments.benchmarks.precision

The ladder is the model that comes with the package, on fresh batches of the images that it was trained on; the truth is
the same step in float64, noise included. `train.activations` are those of the step itself. `train.matmul_precision` has
no meaning on a CPU, so the products of the networks are emulated: both factors are rounded to the 10 bits of
TensorFloat32 or the 7 bits of bfloat16, then multiplied in float32. A TPU's "tf32", three passes of bfloat16, is more
precise than that. Errors of terms are in nats per image, root mean squares over the batches; that of the gradient is
relative, and `noise` is what the choice of the batch does to it. Writes experiments/results/precision.json.
"""

import dataclasses
import functools

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

import scaledis
from experiments.tables import RESULTS
from scaledis import methods
from scaledis.core import runtime, version
from scaledis.core.files import write_json
from scaledis.core.streams import stream
from scaledis.networks import numerics
from scaledis.training.model import hyperparameters
from scaledis.types import Batch, ImageSpec

BATCHES = 16
BITS = {"float32": 23, "tf32": 10, "bfloat16": 7}  # of the mantissa of a product's factors
FORMATS = (("float32", "float32"), ("tf32", "float32"), ("bfloat16", "float32"), ("tf32", "bfloat16"))
CALLS = ("jit", "custom_jvp_call", "custom_vjp_call")
HIGHEST = (lax.Precision.HIGHEST, lax.Precision.HIGHEST)
TERMS = (
    *("loss_nats", "reconstruction_nats", "kl_nats"),
    *("total_correlation_level4_nats", "total_correlation_level3_nats", "inter_nats"),
)


def emulated(function, bits):
    """Returns the function with the factors of each product that is not of full precision rounded to so many bits."""

    def evaluate(jaxpr, constants, *arguments):
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

        def read(variable):
            return variable.val if isinstance(variable, jax.extend.core.Literal) else values[variable]

        for each in jaxpr.eqns:
            inputs = [read(variable) for variable in each.invars]
            inner = each.params.get("call_jaxpr", each.params.get("jaxpr"))
            if each.primitive.name in CALLS:
                outputs = evaluate(inner.jaxpr, inner.consts, *inputs)
            else:
                if each.primitive.name == "dot_general" and each.params["precision"] != HIGHEST:
                    inputs = [lax.reduce_precision(x, 8, bits) if x.dtype == jnp.float32 else x for x in inputs]
                found = each.primitive.bind(*inputs, **each.params)
                outputs = found if each.primitive.multiple_results else [found]
            values |= dict(zip(each.outvars, outputs, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def call(*arguments):
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        flat = evaluate(closed.jaxpr, closed.consts, *jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), flat)

    return call


def make_step(precision, activations):
    """Returns (method, state, batch, key) -> (terms, moments): first moments of Adam, a tenth of the gradient."""

    @functools.partial(jax.jit, static_argnums=0)
    def step(method, state, batch, key):
        def update(state, batch, key):
            with numerics.using(precision, activations):
                after, terms = method.update(state, batch, key)
            return terms, optax.tree.get(after.optimizer, "mu")

        return emulated(update, BITS[precision])(state, batch, key)

    return step


def flat(tree):
    """All leaves as one vector in float64."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def prepared():
    """The trained model as a method with the estimator of a minibatch and no clipping, and its state."""
    model = scaledis.load_model()
    config = dataclasses.replace(
        model.config,
        objective=dataclasses.replace(model.config.objective, estimator="minibatch_weighted"),
        train=dataclasses.replace(model.config.train, gradient_clip=0.0),
    )
    images = ImageSpec(tuple(model.about["image_shape"]), model.about["train_size"])
    method = methods.build(config, images)
    state = jax.jit(method.init)(jax.random.key(0), hyperparameters(config, config.model.allocation))
    return method, state._replace(params=model.state.params, step=jnp.asarray(model.step))


def main():
    runtime.prepare_jax()
    dataset = scaledis.load_dataset("rendered", resolution=32)
    method, state = prepared()
    index = np.random.default_rng(0).integers(dataset.size, size=(BATCHES, 64)).astype(np.int32)
    batches = [Batch(dataset.images(each), each) for each in index]
    keys = [stream(jax.random.key(1), str(number)) for number in range(BATCHES)]

    def measured(step, state):
        found = [step(method, state, batch, key) for batch, key in zip(batches, keys, strict=True)]
        terms = [{name: float(value) for name, value in terms.items()} for terms, _ in found]
        return terms, np.stack([flat(moments) for _, moments in found])

    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, state)
        truth, gradients = measured(make_step("float32", "float32"), wide)
    size = np.sqrt(np.square(gradients).sum(1).mean())
    noise = np.sqrt(np.square(gradients - gradients.mean(0)).sum(1).mean() * BATCHES / (BATCHES - 1)) / size
    rows = {}
    for precision, activations in FORMATS:
        terms, found = measured(make_step(precision, activations), state)
        errors = {
            name: float(
                np.sqrt(np.mean([(own[name] - true[name]) ** 2 for own, true in zip(terms, truth, strict=True)]))
            )
            for name in TERMS
        }
        gradient = float(np.sqrt(np.square(found - gradients).sum(1).mean()) / size)
        bias = float(np.linalg.norm((found - gradients).mean(0)) / size)
        rows[f"{precision}, {activations}"] = {"gradient": gradient, "gradient_bias": bias, **errors}
        print(f"products {precision}, activations {activations}: gradient {gradient:.2g}", errors, flush=True)
    values = {name: float(np.mean([true[name] for true in truth])) for name in TERMS}
    result = {"commit": version.commit(), "machine": runtime.machine(), "batches": BATCHES, "noise": float(noise)}
    write_json(RESULTS / "precision.json", {**result, "truth": values, "errors": rows})


if __name__ == "__main__":
    main()
