"""What holds for every estimator: it is found by name, says what it is, and keeps its contract."""

import jax
import jax.numpy as jnp
import pytest

from scaledis.core.errors import UserError
from scaledis.methods import estimators
from tests import tiny
from tests.estimators import PARTS, make, seen


def test_they_are_found_by_name():
    names = {"minibatch_weighted", "minibatch_stratified", "memory_bank", "density_ratio"}
    assert estimators.specs().keys() == names
    with pytest.raises(UserError, match="objective.estimator: 'memory_bnk' is unknown. Did you mean 'memory_bank'"):
        make("memory_bnk", 8)
    with pytest.raises(UserError, match="objective.estimator: 'minibatch' is unknown"):
        tiny.config(objective__estimator="minibatch")


@pytest.mark.parametrize("name", estimators.specs())
def test_it_keeps_its_contract(name):
    assert estimators.choose(name).make.__doc__
    estimator = make(name, 8, 1000, bank=12, features=4, layers=2)
    key, codes = jax.random.key(0), jax.ShapeDtypeStruct((8, 3), jnp.float32)
    posterior = seen(codes, codes, codes, jax.ShapeDtypeStruct((8,), jnp.int32))
    extra = jax.eval_shape(estimator.init, key, PARTS)
    density = jax.eval_shape(estimator.log_density, extra, posterior, PARTS)
    assert density.shape == (8, 1 + 2 + 3)  # all units, two levels, three units
    after, terms = jax.eval_shape(estimator.update, extra, posterior, PARTS, key)
    # Weak types too: an extra of another type than the one before it would be compiled for again.
    before, after = (
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), each) for each in (extra, after)
    )
    assert before == after and all(term.shape == () for term in terms.values())
