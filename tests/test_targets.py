"""Devices by name."""

import pytest

from scaledis.core.errors import UserError
from scaledis.planning import targets


@pytest.mark.parametrize(
    ("text", "count", "hosts"),
    [("h100", 1, 1), ("h100:8", 8, 1), ("v5e:16", 16, 4), ("v5e:4x4", 16, 4), ("v5p:2x2x4", 16, 4)],
)
def test_a_number_and_a_shape_give_chips_and_hosts(text, count, hosts):
    found = targets.parse(text)
    assert (found.chips, found.hosts) == (count, hosts) and found.kind == text.partition(":")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h1000", "--device: 'h1000' is unknown. Did you mean 'h100'.* Choices: a100, h100, h200, v4, v5e, v5p, v6e"),
        ("v5e:", "--device: 'v5e:' must end in a number or a shape, such as v5e:8"),
        ("v5e:0", "--device: 'v5e:0' must end in a number"),
        ("v5e:4x-4", "--device: 'v5e:4x-4' must end in a number"),
        ("h100:12", "--device: h100:12 does not fill its hosts, which have 8 chips each"),
    ],
)
def test_what_is_no_device_is_a_sentence_with_the_choices(text, message):
    with pytest.raises(UserError, match=message):
        targets.parse(text)


def test_every_target_has_its_source_and_is_a_gpu_or_a_tpu():
    for target in targets.targets().values():
        assert target.source and bool(target.chip) != bool(target.axes)
        assert target.flops["float32"] < target.flops["tf32"] < target.flops["bfloat16"]
