from tests import tiny


def get_config():
    return tiny.config_dict()


def sweep_pair():
    yield {"method.name": "vlae"}
    yield {"method.name": "scale_vlae"}
