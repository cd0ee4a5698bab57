"""Folders as repositories of the Hugging Face hub. Logging in and the cache are the library's own."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scaledis.core import UserError, registry


def push(folder: Path, repo: str, private: bool, message: str) -> str:
    """Uploads the files of a folder to a repository, which is created if needed, and returns its address.

    Raises UserError if huggingface_hub is missing, and if the hub refuses the upload.
    """
    with _library("repo", repo) as library:
        hub = library.HfApi()
        address = hub.create_repo(repo, private=private, exist_ok=True)  # which adds the owner to a name
        hub.upload_folder(repo_id=address.repo_id, folder_path=folder, commit_message=message)
        return str(address)


def pull(key: str, repo: str, revision: str | None, names: Sequence[str]) -> Path:
    """Downloads files of a repository and returns their folder in the cache. Raises what `push` does, naming `key`."""
    with _library(key, repo) as library:
        return Path(library.snapshot_download(repo, revision=revision, allow_patterns=[*names]))


@contextlib.contextmanager
def _library(key: str, repo: str) -> Iterator[Any]:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(f"{key}: the hub needs huggingface_hub; pip install scaledis[hub].") from error
    try:
        yield huggingface_hub
    except (OSError, ValueError) as error:  # its own are of both kinds
        reason = " ".join(str(error).split())
        raise UserError(f"{key}: {registry.short(repo)} cannot be reached or is refused: {reason}") from error
