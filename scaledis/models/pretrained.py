"""Loads a model from a folder or from a repository of the Hugging Face hub."""

from pathlib import Path

from scaledis.core import UserError, bundle, files, hub, kinds, registry
from scaledis.model import Model
from scaledis.models import folder_of, load_model


@kinds.checked
def from_pretrained(place: str | Path, *, revision: str | None = None) -> Model:
    """Loads a model that `Model.save` or `Model.push_to_hub` has written.

    Args:
      place: a folder or the name of a model of the package, as in `load_model`, or else a repository of the Hugging
        Face hub, "owner/name", whose two files are downloaded once. Nothing in them is executed.
      revision: the branch, tag or commit of a repository; by default its main branch.

    Raises UserError for a place without a model, for a damaged file, and if the hub cannot be reached.

    >>> load_model().save("published")  # or load_model().push_to_hub("owner/name")
    >>> from_pretrained("published").step
    40000
    """
    folder = files.directory("place", place)
    if folder_of(place):
        return load_model(place)
    if folder.exists():
        raise UserError(f"place: {registry.short(str(place))} has no {bundle.ABOUT}.")
    return load_model(hub.pull("place", str(place), revision, (bundle.ABOUT, bundle.ARRAYS)))
