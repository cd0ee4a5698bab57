"""The V shape over the paper's own axis: the width of the fully connected layers behind convolutions that stay.

    python -m experiments.widths --tier=small            # eight widths in parts of one width; it resumes
    python -m experiments.widths --tier=small 16 2048    # some; the claims come once all have run

16 to 2,048 features in the hidden layer on either side of the code, blocks of 1, 2, 4 and 8 of 8 units, three seeds,
beta 5, 20,000 steps, on `rendered_dsprites`. The width is set by the number of parameters, `model.parameters`, since
the convolutions are always those of the tier; v_shape.py widens them too. The paper varies the number of these layers
as well; here it is always one. Writes experiments/results/widths/<tier>.json, .md and .png. Exploratory: no verdicts.
"""

from experiments import protocol, v_shape
from experiments.granularity import DATA
from experiments.protocol import arguments, low_priority
from scaledis import datasets
from scaledis.core import runtime
from scaledis.networks import sizing
from scaledis.networks.ladder import Ladder

SEEDS = (5400, 5401, 5402)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
TOP = 4  # features of the top level's hidden layers for each of the network's width
TIMES = 4  # the tier's steps


def main():
    given = arguments(__doc__, map(str, WIDTHS), DATA)
    runtime.prepare_jax()
    low_priority()
    axis = axis_of(protocol.tier(given.tier), given.data)
    for width in map(int, given.names):
        v_shape.train(given.tier, width, SEEDS, axis, given.data)
        v_shape.report(given.tier, axis)
    v_shape.report(given.tier, axis)


def axis_of(base, data):
    """The widths as an axis, by the number of parameters of the network that has them."""
    shape = datasets.load(data, resolution=base["data"]["resolution"]).image_shape
    steps = TIMES * base["train"]["steps"]
    counts = {width: parameters(width, base["model"], shape) for width in WIDTHS}
    sizes = {width: {"model.parameters": count, "train.steps": steps} for width, count in counts.items()}
    return v_shape.Axis("widths", "features of the dense layers", sizes)


def parameters(width, model, image_shape):
    """The parameters of the flat network whose hidden layers have `width` features, as `sizing.width_for` counts."""
    channels = tuple(model["channels"]), tuple(model["ladder_channels"])
    allocation = sizing.nominal((8,))
    return sizing.parameter_count(Ladder(allocation, image_shape, *channels, width // TOP, model["injection"]))


if __name__ == "__main__":
    main()
