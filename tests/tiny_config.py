import ml_collections

from tests import tiny


def get_config():
    return ml_collections.ConfigDict(tiny.plain())


def sweep_pair():
    yield {"method.name": "vlae"}
    yield {"method.name": "scale_vlae"}
