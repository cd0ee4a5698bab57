"""Beyond Flat Latent, Figure 2: edits of CelebA's faces by a ladder of four levels (B) against alpha-TCVAE (A).

    python experiments/figure2.py --tier=paper                      # CelebA, which must be prepared
    python experiments/figure2.py --tier=small --data=rendered      # a look-alike of 3DShapes instead, named as such

For each attribute the unit of either method that knows most of it moves through nine values on the same image, from the
coarsest attribute to the finest. Writes experiments/results/figure2/<data>-<tier>.png.
"""

import argparse

from protocol import ROOT, low_priority, place, run, tier

from scaledis import evaluate, experiment, input_pipeline, methods, results, runtime
from scaledis.report import canvas, gather, paper
from scaledis.workdir import write_bytes

METHODS = ("alpha_tcvae", "scale_vlae")  # rows A and B
ATTRIBUTES = {"celeba": ("Chubby", "Smiling", "Pale_Skin"), "rendered": ("object_hue", "scale", "wall_hue")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=["small", "paper"], default="small")
    parser.add_argument("--data", choices=list(ATTRIBUTES), default="celeba")
    given = parser.parse_args()
    runtime.prepare()
    low_priority()
    workdir = place("figure2", given.tier, given.data, "seed")
    run(workdir, base(given.tier, given.data), [override(name, given.data) for name in METHODS])
    path = ROOT / f"experiments/results/figure2/{given.data}-{given.tier}.png"
    write_bytes(path, canvas.png(draw(workdir, ATTRIBUTES[given.data])))
    print(path)


def base(size, data):
    """The config that both methods share; of a set that holds images out, those are scored."""
    split = {"evaluate.split": "held_out"} if data == "celeba" else {}
    return experiment.override(tier(size), {"data.name": data, **split})


def override(name, data):
    """A method as it is published for CelebA."""
    published = methods.choose(name).settings_for("celeba") if data == "celeba" else {}
    own = {key: value for key, value in published.items() if key.startswith("method.")}
    return {"method.name": name, **own}


def draw(workdir, attributes):
    """The edits of both methods on the first images of the evaluation, one for each attribute."""
    runs = workdir.runs()
    dataset = input_pipeline.load_dataset(runs[0].config.data)
    models = [results.load_run(workdir.root, each.name) for each in runs]
    known = [gather.summary(each, each.config.method.name, dataset, workdir) for each in runs]
    index, _ = evaluate.sample(dataset, runs[0].config)
    pairs = [
        tuple(paper.edit(summary, model, name, image) for summary, model in zip(known, models, strict=True))
        for name, image in zip(attributes, dataset.images(index[: len(attributes)]), strict=True)
    ]
    flat, ladder = (summary._replace(step=model.step) for summary, model in zip(known, models, strict=True))
    return paper.edits(flat, ladder, pairs)


if __name__ == "__main__":
    main()
