"""One Markdown table of the scores of several work directories.

python experiments/collect.py runs/settings-* > experiments/results/settings.md
"""

import sys

import numpy as np

from scaledis import config as configs
from scaledis.report import SCORES
from scaledis.report.traversals import DEAD
from scaledis.results import Workdir, read_json

SHOWN = ("method.", "model.injection", "objective.", "train.learning_rate", "train.steps", "seed")


def rows(workdir: Workdir):
    """One {column: text} per scored run."""
    for path in sorted(workdir.root.glob("runs/*/scores.json")):
        scores, config = read_json(path), configs.flatten(read_json(path.with_name("config.json")))
        top = np.asarray(scores["unit_kl_nats"][: config["model.allocation"][0]])
        settings = {key.split(".")[-1]: str(value) for key, value in config.items() if key.startswith(SHOWN)}
        found = {title: f"{scores['all'][key]:.3f}" for key, title in SCORES.items() if key in scores["all"]}
        yield {
            "data set": scores["dataset"],
            **settings,
            **found,
            "top units alive": f"{(top >= DEAD).sum()}/{len(top)}",
        }


def table(lines: list[dict[str, str]]) -> str:
    columns = list(dict.fromkeys(column for line in lines for column in line))
    cells = [columns, ["---"] * len(columns), *([line.get(column, "") for column in columns] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


if __name__ == "__main__":
    print(table([row for directory in sys.argv[1:] for row in rows(Workdir(directory))]))
