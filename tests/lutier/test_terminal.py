from __future__ import annotations

import json
import math

from lutier.terminal import percent, to_json


def test_json_has_null_where_a_figure_is_unknown() -> None:
    value = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (2, -math.inf)}}
    assert json.loads(json.dumps(to_json(value), allow_nan=False)) == {
        "a": None,
        "b": [None, 1.5],
        "c": {"d": [2, None]},
    }


def test_percent_says_unknown_rather_than_nan() -> None:
    assert percent(0.0123) == "1.2 %"
    assert percent(math.nan) == "unknown"
