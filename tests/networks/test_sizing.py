import pytest

from scaledis.config import INJECTIONS, Config, Model
from scaledis.core.errors import UserError
from scaledis.networks import sizing
from scaledis.networks.ladder import make_ladder
from scaledis.networks.top_down import make_top_down
from scaledis.types import ImageSpec

TABLE_2 = [(4, 6), (5, 5), (6, 4), (2, 4, 4), (3, 3, 4), (4, 4, 2), (4, 3, 2, 1), (4, 2, 2, 2), (3, 3, 2, 2)]


def made(make, allocation, **settings):
    return make(Config(model=Model(allocation, **settings)), ImageSpec((64, 64, 3), 1))


def paper(allocation, injection="map"):
    return made(make_ladder, allocation, parameters=1_200_000, injection=injection)


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("allocation", [*TABLE_2, (10,)])
def test_every_allocation_has_the_capacity_of_the_paper(allocation, injection):
    count = sizing.parameter_count(paper(allocation, injection))
    assert count == pytest.approx(1_200_000, rel=0.05 if allocation == (4, 2, 2, 2) else 0.1)


def test_too_small_a_capacity_is_an_error():
    with pytest.raises(UserError, match="model.parameters: 1000 .* smallest network has"):
        made(make_ladder, (4, 2, 2, 2), parameters=1000)


def test_the_networks_of_the_papers():
    flat, own = made(make_ladder, (10,)), made(make_ladder, (4, 2, 2, 2))
    assert sizing.parameter_count(flat) == 766_295
    assert sizing.parameter_count(own) == pytest.approx(1_200_000, rel=0.01)


def test_the_nvae_has_the_ladders_budget():
    network = made(make_top_down, (4, 2, 2, 2))
    assert sizing.parameter_count(network) == pytest.approx(1_200_000, rel=0.01)


def test_a_width_is_the_nearest_of_its_neighbors():
    network = made(make_ladder, (4, 2, 2, 2), parameters=500_000)
    counts = {
        width: sizing.parameter_count(network.clone(width=width, allocation=sizing.nominal(network.allocation)))
        for width in (network.width - 1, network.width, network.width + 1)
    }
    assert min(counts, key=lambda width: abs(counts[width] - 500_000)) == network.width
