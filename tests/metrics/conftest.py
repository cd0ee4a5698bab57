"""Chance levels cost many times the scores: here they are computed where a test asks for them."""

import pytest

from scaledis import metrics


@pytest.fixture(autouse=True, scope="package")
def no_chance():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(metrics.compute.__kwdefaults__, "chance", 0)
        yield
