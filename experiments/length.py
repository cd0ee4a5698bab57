"""How long is long enough: ours, VLAE and the best flat method after eight times the steps of Table 1.

    python -m experiments.length --tier=small     # 31 runs, an evening on two quiet cores; it resumes

Each has the setting that Table 1 chose for it at its own length, on the same five seeds, scored eight times on the
way; the first score is that of Table 1's run. Beside them is `pro_scale_vlae` with few units first: a top of three
units is alone for a fifth of the steps, while sigma falls from twice its value; of three such starts one goes on, as
configs/few_first.py says. That was found on other seeds; once more it has an aggregate posterior of the last 1,024
images (`pro_scale_vlae-bank`). Writes experiments/results/length/<tier>.json, .md and .png. The claim of Table 1 once
more: ours > VLAE > the best flat method in DCI-D; and what few units first add to ours, and the bank to these.
"""

from experiments import protocol
from experiments.pictures import curves
from experiments.protocol import SCORES, SEEDS, TERMS, arguments, chosen, few_first, low_priority, place, run_groups
from experiments.table1 import LADDERS
from experiments.tables import (
    at_step,
    by_elbo,
    by_seed,
    check_some,
    claim,
    command,
    made_with,
    mean,
    results_of,
    scored_at,
    shown,
    shown_gap,
    side_of,
    write_markdown,
    write_results,
)
from scaledis.core import runtime, statistics
from scaledis.datasets.base import sampling
from scaledis.metrics.of_models.shared.coding import encode_images
from scaledis.training import evaluate
from scaledis.training.load import load_run
from scaledis.workdir.log import last_mean, read_records

TIMES, SCORED = 8, 8
# Few units first, as a change to configs/few_first.py, which has a bank.
FEW = {"pro_scale_vlae": {"objective.estimator": "minibatch_weighted"}, "pro_scale_vlae-bank": {}}
FRESH = (3, 4, 5, 6, 7, 8, 9, 10)  # seeds 0 to 2 told that the loss does not tell which start is entangled
NAMES = ("scale_vlae", "vlae", "flat", *FEW)  # flat: the best flat method of Table 1


def main():
    given = arguments(__doc__, NAMES)
    runtime.prepare_jax()
    low_priority()
    methods = methods_of(given.tier)
    steps = TIMES * protocol.tier(given.tier)["train"]["steps"]
    longer = {"train.steps": steps, "train.evaluate_every": steps // SCORED, "evaluate.metrics": ("dci", "mig")}
    for method in (methods[name] for name in given.names):
        if method in FEW:
            setting, seeds = few_first(steps) | FEW[method], FRESH
        else:
            setting, seeds = chosen(given.tier, method), SEEDS
        runs = [{**setting, **longer, "seed": seed} for seed in seeds]
        run_groups("length", given.tier, method, {method: runs})
        if method in FEW:
            write_starts(given.tier, method, round(setting["train.rungs"][0][0] * steps))
    report(given.tier, list(methods.values()))


def write_starts(tier_name, method, step):
    """Writes every start of a method as it stood at the rung: ELBO and R by its log, MIG by its model, who went on."""
    folder, found = place("length", tier_name, "length", method), []
    dropped = folder.dropped()
    for each in folder.runs():
        model, dataset = load_run(folder.root, each.name, step=step), sampling.load_dataset(each.config.data)
        index, _ = evaluate.sample(dataset, each.config)
        lines = read_records(folder.run(each.name) / "metrics.jsonl")
        records = [line for line in lines if line["step"] <= step]
        numbers = {title: last_mean(records, TERMS[title]) for title in ("ELBO", "R")}
        codes = encode_images(model, dataset, index)
        mig = evaluate.score(codes.mean, dataset.factors(index), "mig", chance=0)["mig/mig"]
        of_run = {"seed": each.config.seed, "start": each.config.train.start, "goes on": each.name not in dropped}
        found.append({**of_run, "step": step, "MIG": mig, **numbers})
    known = results_of("length", tier_name)
    known[method]["starts"] = found
    write_results("length", tier_name, known)


def methods_of(tier_name):
    """The method that each of NAMES stands for. Raises SystemExit where Table 1 has no flat one yet."""
    known = results_of("table1", tier_name)
    flat = [method for method in known if method not in LADDERS]
    if not flat:
        raise SystemExit(f"Table 1 has no flat method yet: {command('table1', tier_name)}")
    best = max(flat, key=lambda name: mean(known[name]["runs"], "DCI-D"))
    return {name: best if name == "flat" else name for name in NAMES}


def report(tier_name, methods):
    """The table, the picture and the claims, of what has run."""
    known = results_of("length", tier_name)
    there = [method for method in methods if method in known]
    check_some("length", tier_name, there)
    scored = scored_at(run for method in there for run in known[method]["runs"])
    rows = [
        [
            method,
            score,
            *(shown(at_step(known[method]["runs"], step, score)) for step in scored),
            f"{by_elbo(known[method]['runs'])[score]:.3f}",
        ]
        for score in SCORES
        for method in there
    ]
    columns = ["method", "score", *(f"{int(step):,} steps" for step in scored), "by ELBO"]
    about = "The last column is the last score of one run a method, that of the best ELBO. " + made_with(known)
    write_markdown("length", tier_name, "Table 1 at eight times its length", about, columns, rows)
    curves("length", tier_name, {method: known[method]["runs"] for method in there})
    ours, vlae, flat, few, bank = methods
    for one, other, score, paper in [
        (ours, vlae, "DCI-D", ".92 > .86"),
        (vlae, flat, "DCI-D", ".86 > .77"),
        (ours, flat, "DCI-D", ".92 > .77"),
        (few, ours, "DCI-D", "section 5"),
        (few, ours, "MIG", "section 5"),
        (few, vlae, "DCI-D", ".92 > .86"),
        (few, flat, "DCI-D", ".92 > .77"),
        (bank, few, "DCI-D", "section 5"),
        (bank, ours, "DCI-D", "section 5"),
        (bank, vlae, "DCI-D", ".92 > .86"),
        (bank, flat, "DCI-D", ".92 > .77"),
    ]:
        if {one, other} <= known.keys():
            gap = gap_of(known[one]["runs"], known[other]["runs"], score)
            title = f"{one} > {other} in {score} after {TIMES} times the steps"
            claim(
                f"length, {score}, {one} > {other}", title, paper, shown_gap(gap), side_of(*gap.interval()), tier_name
            )


def gap_of(one, other, score):
    """The difference of two methods: paired where they have the same seeds, else Welch's."""
    return statistics.difference(by_seed(one, score), by_seed(other, score))


if __name__ == "__main__":
    main()
