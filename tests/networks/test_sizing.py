import pytest

from scaledis.config import INJECTIONS, Model
from scaledis.core.errors import UserError
from scaledis.networks import sizing

TABLE_2 = [(4, 6), (5, 5), (6, 4), (2, 4, 4), (3, 3, 4), (4, 4, 2), (4, 3, 2, 1), (4, 2, 2, 2), (3, 3, 2, 2)]


def paper(allocation, injection="map"):
    return sizing.make_ladder(Model(allocation, parameters=1_200_000, injection=injection), (64, 64, 3))


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("allocation", [*TABLE_2, (10,)])
def test_every_allocation_has_the_capacity_of_the_paper(allocation, injection):
    count = sizing.parameter_count(paper(allocation, injection))
    assert count == pytest.approx(1_200_000, rel=0.05 if allocation == (4, 2, 2, 2) else 0.1)


def test_too_small_a_capacity_is_an_error():
    with pytest.raises(UserError, match="model.parameters: 1000 .* smallest network has"):
        sizing.make_ladder(Model((4, 2, 2, 2), parameters=1000), (64, 64, 3))


def test_the_networks_of_the_papers():
    flat, own = sizing.make_ladder(Model((10,)), (64, 64, 3)), sizing.make_ladder(Model((4, 2, 2, 2)), (64, 64, 3))
    assert sizing.parameter_count(flat) == 766_295
    assert sizing.parameter_count(own) == pytest.approx(1_200_000, rel=0.01)


def test_the_nvae_has_the_ladders_budget():
    network = sizing.make_top_down(Model((4, 2, 2, 2)), (64, 64, 3))
    assert sizing.parameter_count(network) == pytest.approx(1_200_000, rel=0.01)


def test_a_width_is_the_nearest_of_its_neighbours():
    model = Model((4, 2, 2, 2), parameters=500_000)
    network = sizing.make_ladder(model, (64, 64, 3))
    counts = {
        width: sizing.parameter_count(network.clone(width=width, allocation=sizing.nominal(model.allocation)))
        for width in (network.width - 1, network.width, network.width + 1)
    }
    assert min(counts, key=lambda width: abs(counts[width] - 500_000)) == network.width
