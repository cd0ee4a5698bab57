"""The command `scaledis`: a word for every mode of main.py, and two of its own.

scaledis train --config=FILE [--sweep=...]   train, evaluate and report; the same command again resumes
scaledis evaluate --workdir=DIR              score what is trained, on any split, metric, backend or step
scaledis report --workdir=DIR                write the page
scaledis extract RUN --workdir=DIR --to=DIR  take a run out of its population, into a directory of its own
scaledis list                                methods, data sets, metrics, estimators, sweeps
scaledis describe NAME                       an equation with its keys, a contact sheet, `network`
scaledis prepare DATASET                     fetch, verify and write a published data set
scaledis score CODES.npz                     every metric of codes from any framework
scaledis explore DIR                         a page on this machine: move units, swap levels between two images
"""

import importlib
import sys

from scaledis.core import registry
from scaledis.core.errors import end, sentences

COMMANDS = {
    "train": [],
    "evaluate": ["--stages=evaluate"],
    "report": ["--stages=report"],
    "list": ["--list"],
    "describe": ["--describe={}"],
    "prepare": ["--prepare={}"],
    "extract": ["--extract={}"],
}
OWN = {"score": "scaledis.metrics.__main__", "explore": "scaledis.report.explore"}  # modules with a `main` of their own


def console() -> None:
    """A subcommand, what it is about, and the flags of `python -m scaledis.main`. Only what it needs is imported."""
    command, *rest = sys.argv[1:] or ["help"]
    if command in OWN:
        with sentences():
            importlib.import_module(OWN[command]).main(rest)
        return
    if command not in COMMANDS:
        usage = (__doc__ or "").split("\n\n")[1]
        if command not in ("help", "--help", "-h"):
            end(f"{registry.unknown('command', command, [*COMMANDS, *OWN])}\n\n{usage}")
        print(usage)
        return
    given = COMMANDS[command]
    if any("{}" in flag for flag in given):
        if not rest or rest[0].startswith("-"):
            end(f"{command} needs a name, such as `scaledis {command} rendered`.")
        given, rest = [flag.format(rest[0]) for flag in given], rest[1:]
    sys.argv[1:] = [*given, *rest]
    from scaledis import main

    main.run()
