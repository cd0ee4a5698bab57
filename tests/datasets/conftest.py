import pytest


@pytest.fixture(autouse=True)
def no_tfds_copies(tmp_path_factory, monkeypatch):
    """Whoever runs the tests may have data sets from TFDS: they are not looked at."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("tensorflow_datasets")))
