"""scaledis: scale-aware disentanglement in hierarchical latent spaces.

    import scaledis

    data = scaledis.load_dataset("rendered", resolution=32)
    config = scaledis.make_config("scale_vlae", {"data.resolution": 32, "train.steps": 4000})
    [model] = scaledis.train(config, workdir="runs/mine")
    images, factors = data.sample(3000)
    codes = model.encode(images)
    scores = scaledis.score(codes.mean, factors)

Lists everything that is meant to be called from outside; docs/architecture.md maps the rest. Each name is imported when
it is first used, so that scaledis.metrics works without JAX.
"""

from etils import epy as _epy

from scaledis.core.errors import UserError as UserError
from scaledis.core.version import VERSION as _VERSION

with _epy.lazy_api_imports(globals()):
    from scaledis.config import Config as Config
    from scaledis.core.runtime import prepare_jax as prepare_jax
    from scaledis.core.statistics import compare as compare
    from scaledis.datasets import Dataset as Dataset
    from scaledis.datasets import load as load_dataset
    from scaledis.methods import Hyperparameter as Hyperparameter
    from scaledis.methods import register_method as register_method
    from scaledis.methods.estimators import register_estimator as register_estimator
    from scaledis.model import Model as Model
    from scaledis.models import load_model as load_model
    from scaledis.models.alignment import Alignment as Alignment
    from scaledis.models.alignment import align as align
    from scaledis.models.exported import Exported as Exported
    from scaledis.models.exported import load_exported as load_exported
    from scaledis.models.pretrained import from_pretrained as from_pretrained
    from scaledis.networks import Network as Network
    from scaledis.networks import register_network as register_network
    from scaledis.search.criteria import register_criterion as register_criterion
    from scaledis.search.train import train as train
    from scaledis.search.tune import tune as tune
    from scaledis.sweeps.configs import make_config as make_config
    from scaledis.training.evaluate import score as score
    from scaledis.training.load import load_results as load_results
    from scaledis.training.load import load_run as load_run
    from scaledis.types import Codes as Codes
    from scaledis.types import Estimator as Estimator
    from scaledis.types import ImageSpec as ImageSpec
    from scaledis.types import Method as Method

__version__ = _VERSION
