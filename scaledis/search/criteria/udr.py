"""UDR: how far the seeds of a setting find the same units, which needs no factors (Duan et al. 2020)."""

from collections.abc import Sequence

import numpy as np

from scaledis.metrics.of_models.shared import coding
from scaledis.metrics.shared.agreement import udr
from scaledis.objectives import gaussian
from scaledis.search.criteria import Candidate, CriterionSpec
from scaledis.training.evaluate import sample


def measure(candidates: Sequence[Candidate]) -> list[float]:
    """Returns the UDR of each run among the others by rank correlation, over the images that scores read."""
    dataset, config = candidates[0].dataset(), candidates[0].run.config
    index, _ = sample(dataset, config)
    codes = [coding.encode_images(each.load(), dataset, index) for each in candidates]
    nats = [np.asarray(gaussian.kl_to_standard(each.mean, each.log_variance)).mean(0) for each in codes]
    return udr([each.mean for each in codes], nats)["spearman"]  # type: ignore[no-any-return]


CRITERIA = {"udr": CriterionSpec(measure, together=True)}
