"""Models: a trained run as a folder of two files, which needs nothing else."""

from pathlib import Path

from scaledis.core import bundle, files, kinds, registry
from scaledis.core.errors import UserError
from scaledis.training.model import restored
from scaledis.types import Model


@kinds.checked
def load_model(path: str | Path) -> Model:
    """Loads a model from the folder that `Model.save` wrote.

    It needs no data set, loads no pickle, and reads what another version of JAX has written.

    Args:
      path: the folder.

    Raises UserError for a folder without a model, for a damaged file, and for a model of a method that is not known.

    >>> load_run("runs/mine").save("mine")
    >>> model = load_model("mine")
    >>> model.encode(dataset.images(np.arange(64))).mean.dtype
    dtype('float32')
    """
    folder = files.directory("path", path)
    if not (folder / bundle.ABOUT).is_file():
        raise UserError(f"path: {registry.short(str(path))} is no saved model: it has no {bundle.ABOUT}.")
    about, arrays = bundle.read(folder)
    try:
        return restored(about, arrays)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
