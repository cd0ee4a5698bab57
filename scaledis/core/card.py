"""The card of a saved model in Markdown, made from its `about`."""

import json
from collections.abc import Mapping
from typing import Any

CHANCE = "_chance"  # ends the name of a score's chance level
HEAD = """\
---
library_name: scaledis
tags:
- disentanglement
- variational-autoencoder
- jax
---
"""
LOAD = """\
```python
import scaledis  # pip install scaledis[hub]

model = scaledis.from_pretrained({place})
codes = model.encode(images)  # uint8 {images} -> mean and log_variance [N, {units}]
again = model.decode(codes.mean)
```"""


def make_card(about: Mapping[str, Any], place: str) -> str:
    """Returns the card of a model that is at `place`, a repository or a folder."""
    config, data = about["config"], about["data"]
    allocation = config["model"]["allocation"]
    method, units = config["method"]["name"], "-".join(map(str, allocation))
    images = f"[N, {', '.join(map(str, about['image_shape']))}]"
    step = f"{about['step']:,} steps" + (", where it diverged" if about["diverged"] is not None else "")
    parts = {
        "": f"`{method}` with {units} units per level, top to bottom, trained for {step} by scaledis "
        f"{' '.join(filter(None, (about['version'], about['commit'])))}.",
        "Load": LOAD.format(place=json.dumps(place), images=images, units=sum(allocation)),
        "Data": _of_data(data) if data else "It is not known.",
        "Scores": _of_scores(about["scores"]),
        "Config": f"```json\n{json.dumps(config, indent=1)}\n```",
    }
    title = f"{HEAD}\n# {method} on {_plain(data.get('name', 'images'))}\n"
    return title + "".join(f"\n## {name}\n\n{text}\n" if name else f"\n{text}\n" for name, text in parts.items())


def _of_data(data: Mapping[str, Any]) -> str:
    facts = {
        "data set": _plain(data["name"]),
        "images": f"{data['size']:,} of {'x'.join(map(str, data['image_shape']))}",
        "trained on": f"{data['train_size']:,}",
        "factors": ", ".join(f"{_plain(name)} ({size})" for name, size in data["factors"].items()) or "unknown",
        "fingerprint": f"`{data['fingerprint']}`",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts.items())])


def _of_scores(scores: Mapping[str, Any]) -> str:
    """Returns a row for each score that is one number, with its chance level if it is known."""
    found = {name: value for name, value in scores.items() if isinstance(value, float) and CHANCE not in name}
    if not found:
        return "It has not been scored."
    rows = [
        f"| {name} | {value:.3f} | {f'{chance:.3f}' if isinstance(chance, float) else 'unknown'} |"
        for name, value in found.items()
        for chance in [scores.get(name + CHANCE)]
    ]
    return "\n".join(["| score | value | by chance |", "| --- | --- | --- |", *rows])


def _plain(name: str) -> str:
    """Returns a name without the characters that end a cell, a line or a heading of Markdown."""
    return " ".join(name.split()).replace("|", "/")
