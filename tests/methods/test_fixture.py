"""Three methods give the terms that they gave before: stored once, from the code that is known to be right.

    python -m tests.methods.test_fixture

writes the file anew, where a loss or the draw of a random number is meant to change.
"""

import json
from pathlib import Path

import jax
import pytest

from tests import tiny

FILE = Path(__file__).with_name("terms_after_50_steps.json")
NAMES = ("scale_vlae", "beta_tcvae", "factor_vae")


def terms_of(name: str) -> dict[str, float]:
    """Means over 50 steps of the terms of a tiny run in which the KL and its penalties count."""
    settings = {"objective__kl_warmup": 20.0, "objective__sigma": 0.2}
    settings |= {"train__learning_rate": 0.005, "train__batch": 16, "model__network": ""}
    members = tiny.population([tiny.config(method__name=name, **settings)], tiny.dataset())
    _, terms = members.make_advance(tiny.dataset())(members.init(), 50)
    return {key: float(term[0]) for key, term in jax.device_get(terms).items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_terms_are_those_that_were_stored(name):
    """To 1e-4, of a nat or of the term: initial parameters that differ by 1e-6 change no term by more."""
    stored = json.loads(FILE.read_text())[name]
    assert len(stored) > 10 and {"loss_nats", "regularization_nats", "gradient_norm"} <= stored.keys()
    assert terms_of(name) == pytest.approx(stored, rel=1e-4, abs=1e-4)


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: terms_of(name) for name in NAMES}, indent=1) + "\n")
