"""Registries, to which installed packages and notebooks can add entries."""

import dataclasses
import functools
import importlib.metadata
import re
import sys
from collections.abc import Mapping
from typing import Generic, TypeVar

from scaledis.core import UserError, kinds, registry

Entry = TypeVar("Entry")


@dataclasses.dataclass
class Registry(Generic[Entry]):
    """Entries of one kind by name: those of a package's modules, of other packages, and of the user.

    Attributes:
      noun: what an entry is, such as "method". Modules and entry points hold a dictionary of them: the modules in the
        attribute "METHODS", the entry points in the group "scaledis.methods".
      key: the key of a config that names an entry.
      kind: the class of an entry.
      package: the name of the package whose modules are walked.
      plural: of the noun, where it does not end in s.
      registered: the user's entries.
    """

    noun: str
    key: str
    kind: type[Entry]
    package: str
    plural: str = ""
    registered: dict[str, Entry] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plural = self.plural or f"{self.noun}s"

    @functools.cached_property
    def installed(self) -> dict[str, Entry]:
        """The entries of the package and of all entry points. Raises UserError for a name that two of them have."""
        found = registry.collect(sys.modules[self.package], self.plural.upper())
        for point in importlib.metadata.entry_points(group=f"scaledis.{self.plural}"):
            loaded = point.load()
            kinds.check(f"entry point {point.value}", loaded, Mapping[str, self.kind])  # type: ignore[name-defined]
            for name, entry in loaded.items():
                if name in found:
                    raise UserError(f"{self.key}: {name!r} of the entry point {point.value} is taken.")
                found[name] = entry
        return found

    def entries(self) -> dict[str, Entry]:
        """Returns all entries by name."""
        return {**self.installed, **self.registered}

    def choose(self, name: str, key: str = "") -> Entry:
        """Returns the entry `name`. Raises UserError, naming the key and the choices, if it is not registered here."""
        try:
            return registry.choose(key or self.key, name, self.entries())
        except UserError as error:
            door = f"scaledis.register_{self.noun}"
            raise UserError(f"{error} A {self.noun} of your own must be registered first, by {door}.") from None

    def register(self, name: str, entry: Entry) -> None:
        """Adds an entry of the user, or replaces it, as when a cell of a notebook runs twice.

        Raises UserError for a name that is not a lower-case word, and for that of an installed entry.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UserError(f"name: {name!r} must be a lower-case word, such as my_{self.noun}.")
        if name in self.installed:
            where = f"among the {self.plural} of scaledis or of an installed package"
            raise UserError(f"name: {name!r} is {where}; choose another.")
        self.registered[name] = entry
