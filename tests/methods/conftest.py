import pytest

from scaledis import methods


@pytest.fixture
def registered(monkeypatch):
    """`register_method`, whose methods are gone after the test."""
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    return methods.register_method
