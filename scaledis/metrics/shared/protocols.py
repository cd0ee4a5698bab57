"""Protocols: which rows and factors a metric sees, and whose conventions it follows.

Where `library` differs from disentanglement_lib (each metric's docstring has the rest):
  - every metric sees 15,000 rows, there 10,000 if nothing is tested: `irs` differs by up to 0.01;
  - `irs` cuts factors into 20 bins, as its settings do; code that does not differs by 0.01 to 0.02 where a factor has
    more than 20 values;
  - `sap/r2` takes all rows, there the training rows: up to 0.005;
  - `infomec` and `modularity` are None for codes that know nothing about any factor; public code returns a number.
"""

from typing import NamedTuple

ROWS = 15_000  # 10,000 train, 5,000 test


class Protocol(NamedTuple):
    """A way to measure, named in every result.

    Attributes:
        about: what it does, in one sentence.
        whole: metrics that see every row; the others see `ROWS` of them, drawn without replacement.
        binned: metrics that see codes and factors as the numbers 1 to 20 of equal-width bins.
    """

    about: str
    whole: frozenset[str] = frozenset()
    binned: frozenset[str] = frozenset()


PROTOCOLS = {
    "scaledis": Protocol("as library, but the scale of a unit, dead units and chance cannot change a score"),
    "library": Protocol("disentanglement_lib, disent, DAVA: 10,000 + 5,000 rows, factors not binned"),
    "hfs": Protocol(
        "HFS and alpha-TCVAE: every row for MIG and modularity, which with SAP see codes and factors in 20 bins",
        whole=frozenset({"mig", "modularity"}),
        binned=frozenset({"mig", "modularity", "sap"}),
    ),
    "paper": Protocol("each metric's own paper, where the code of library differs from it"),
}
