"""Settings that several methods share; a method's other settings stand in its file."""

# The flat baselines of the disentanglement literature (Roth et al. 2023, and with them Meo et al. 2024): published,
# except for the initialization of the network.
FLAT = {
    "objective.likelihood": "bernoulli",
    "objective.kl_warmup": 0.0,
    "train.learning_rate": 1e-4,
    "train.batch": 64,
    "train.steps": 300_000,
    "train.gradient_clip": 0.0,
}
# Ladders: the paper states only a Gaussian likelihood; the rest is ours.
LADDER = {"train.steps": 300_000, "train.learning_rate": 1e-3}
