"""Models: a trained run as a folder of two files; `trained/` has the model that comes with the package."""

from pathlib import Path

from scaledis.core import UserError, bundle, files, kinds, registry
from scaledis.model import Model
from scaledis.training.model import restored

TRAINED = Path(__file__).parent / "trained"
DEFAULT = "few_first_rendered_32"


def names() -> list[str]:
    """Returns the names of the models that come with the package."""
    return sorted(path.parent.name for path in TRAINED.glob(f"*/{bundle.ABOUT}"))


def folder_of(path: str | Path) -> Path | None:
    """Returns the folder of a saved model, or of a model of the package, by its name; None for any other path."""
    folder = TRAINED / path if path in names() else files.directory("path", path)
    return folder if (folder / bundle.ABOUT).is_file() else None


@kinds.checked
def load_model(path: str | Path = DEFAULT) -> Model:
    """Loads a model from the folder that `Model.save` wrote, or a model that comes with the package, by its name.

    Loading needs no data set and no pickle, and any version of JAX may have written the model.

    Args:
      path: the folder, or a name. The default has ten units in four levels and was trained on `rendered` at 32x32
        pixels; give "./few_first_rendered_32" for a folder of your own with this name.

    Raises UserError for a folder without a model, for a damaged file, and for a model of an unknown method.

    >>> load_run("runs/mine").save("mine")
    >>> model = load_model("mine")
    >>> model.encode(dataset.images(np.arange(64))).mean.dtype
    dtype('float32')
    """
    folder = folder_of(path)
    if folder is None:
        given, choices = registry.short(str(path)), ", ".join(names())
        if (Path(str(path)).expanduser() / "plan.json").is_file():
            raise UserError(f"path: {given} is a work directory, not a saved model; load_run reads a run of it.")
        raise UserError(f"path: {given} has no {bundle.ABOUT}, nor is it the name of a trained model: {choices}.")
    about, arrays = bundle.read(folder)
    try:
        return restored(about, arrays)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
