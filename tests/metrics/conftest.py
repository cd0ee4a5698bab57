"""Chance levels cost many times the scores: here they are computed where a test asks for them."""

import pytest

from scaledis.metrics.shared.scoring import Settings


@pytest.fixture(autouse=True, scope="package")
def few_rounds():
    """All rounds: what DCI gives is tested here."""


@pytest.fixture(autouse=True, scope="package")
def no_chance():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Settings.__init__.__kwdefaults__, "chance", 0)
        yield
