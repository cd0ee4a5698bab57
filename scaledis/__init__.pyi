from scaledis import datasets
from scaledis.comparison import compare as compare
from scaledis.config import Config as Config
from scaledis.datasets import Dataset as Dataset
from scaledis.errors import UserError as UserError
from scaledis.evaluate import score as score
from scaledis.experiment import make_config as make_config
from scaledis.methods import Hyperparameter as Hyperparameter
from scaledis.methods import register_method as register_method
from scaledis.population import Model as Model
from scaledis.results import load_results as load_results
from scaledis.results import load_run as load_run
from scaledis.training import train as train
from scaledis.types import Codes as Codes
from scaledis.types import ImageSpec as ImageSpec
from scaledis.types import Method as Method

load_dataset = datasets.load

DOORS: dict[str, str]
__version__: str
