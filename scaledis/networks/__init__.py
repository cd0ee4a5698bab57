"""Networks by name: the encoders and decoders of methods, `config.model.network`.

A module here may define `NETWORKS`, name -> NetworkSpec. From outside the package a network comes in by
`register_network`, or by an entry point of the group "scaledis.networks" that points at such a dictionary.
"""

from collections.abc import Callable

from scaledis.config import Config, no_check
from scaledis.core import kinds
from scaledis.core.plugins import Registry
from scaledis.networks.spec import Network as Network  # for others too
from scaledis.networks.spec import NetworkSpec
from scaledis.types import ImageSpec

REGISTRY = Registry("network", "model.network", NetworkSpec, __name__)


def specs() -> dict[str, NetworkSpec]:
    """Returns all networks by name."""
    return REGISTRY.entries()


def choose(name: str) -> NetworkSpec:
    """Returns the network `name`. Raises UserError, with the choices, if it is unknown."""
    return REGISTRY.choose(name)


@kinds.checked
def register_network(
    name: str,
    make: Callable[[Config, ImageSpec], Network],
    *,
    check: Callable[[Config], None] = no_check,
    pads: bool = False,
) -> None:
    """Makes your network a choice of `config.model.network`, like those of this package.

    A second call replaces your network. Register it before `load_run` or `load_model` loads a model with it.

    Args:
      name: a lower-case word.
      make: (config, ImageSpec) -> Network. `sizing.width_for` gives the width of a number of parameters.
      check: raises UserError for a config that the network cannot run with.
      pads: whether runs that differ in `model.allocation` or `model.parameters` train in one program (NetworkSpec).

    Raises UserError for a name that this package has, or that is not a lower-case word, and for a `make` that does not
    take two arguments.

    >>> from scaledis.networks.ladder import make_ladder
    >>> register_network("mine", make_ladder)
    >>> make_config("vlae", {"model.network": "mine"}).model.network
    'mine'
    """
    REGISTRY.register(name, NetworkSpec(make, check, pads))


def make(config: Config, images: ImageSpec) -> Network:
    """Returns the network of a config. Raises UserError for an unknown name, and if its `make` gives no Network."""
    made = choose(config.model.network).make(config, images)
    kinds.check(f"make of {config.model.network}", made, Network)
    return made
