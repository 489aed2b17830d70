"""What a name says of an architecture."""

from __future__ import annotations

import pandas as pd
import pytest

from latency_models.transfer_features import position_features


def test_choices_at_each_position_become_columns() -> None:
    names = pd.Index(
        [f"|{a}~0|+|{b}~0|{c}~1|{d}~2|" for a in "xy" for b in "xy" for c in "abcd" for d in "abc"]
    )
    features = position_features(names)
    assert features is not None
    assert features.index.equals(names)
    assert list(features)[:2] == ["0:x~0", "0:y~0"]
    row = features.loc["|y~0|+|x~0|c~1|a~2|"]
    assert row[row == 1].index.tolist() == ["0:y~0", "1:x~0", "2:c~1", "3:a~2"]
    assert (features.sum(axis=1) == 4).all()


def test_lists_and_tuples_of_choices_are_read_alike() -> None:
    tuples = [(i % 2, i % 3) for i in range(24)]
    from_text = position_features([str(row) + " " * i for i, row in enumerate(tuples)])
    from_tuples = position_features(tuples)
    assert from_text is not None
    assert from_tuples is not None
    assert (from_text.to_numpy() == from_tuples.to_numpy()).all()


@pytest.mark.parametrize(
    "names",
    [
        [f"net{i}" for i in range(50)],
        [f"net,{i}" for i in range(50)],
        ["a,b", "a,b,c", "b,c"],
        ["a,b"] * 5,
        [],
    ],
)
def test_names_that_tell_no_choices_give_no_features(names: list[str]) -> None:
    assert position_features(names) is None
