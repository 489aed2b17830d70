from __future__ import annotations

import pytest
import torch
from torch import nn

from search.averaging import WeightAverage


def network(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def test_the_average_follows_its_equation_with_a_rising_decay() -> None:
    model = network(1.0)
    average = WeightAverage(model, 0.25)
    expected = 1.0
    for n, value in enumerate((3.0, -1.0, 5.0), 1):
        with torch.no_grad():
            model[0].weight.fill_(value)  # type: ignore[index]
        average.update(model)
        decay = min(0.25, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        assert average.average["0.weight"].unique().tolist() == pytest.approx([expected])
    assert (1 + 3) / (10 + 3) > 0.25 > (1 + 1) / (10 + 1)


def test_statistics_are_averaged_and_counters_copied() -> None:
    model = network(1.0)
    average = WeightAverage(model, 0.9)
    model(torch.randn(8, 2) + 5)
    average.update(model)
    state = model.state_dict()
    assert 0 < float(average.average["1.running_mean"][0]) < float(state["1.running_mean"][0])
    assert average.average["1.num_batches_tracked"] == 1


def test_an_average_goes_on_where_it_was() -> None:
    model = network(1.0)
    one, other = WeightAverage(model, 0.9), WeightAverage(network(7.0), 0.9)
    one.update(network(2.0))
    other.restore(**one.state())  # type: ignore[arg-type]
    for average in (one, other):
        average.update(network(4.0))
    assert one.updates == other.updates == 2
    for name, value in one.average.items():
        assert torch.equal(value, other.average[name])
