"""A search result as a notebook shows it."""

from __future__ import annotations

from devices.errors import InputError
from lutier.plots.blocks import break_down
from lutier.plots.chain import chain_html
from lutier.plots.drawing import html_table
from lutier.plots.wording import interval_text, verdict
from lutier.results import SearchResult
from lutier.terminal import percent
from search.budget import format_ms


def result_html(result: SearchResult) -> str:
    """The figures of a result, and its network where the space is known here."""
    interval = interval_text(*result.measured_interval_ms)
    rows = [
        ["accuracy, test split", percent(result.accuracy)],
        ["accuracy, validation split", percent(result.validation_accuracy)],
        [
            "measured",
            f"{format_ms(result.measured_ms)} {interval}",
        ],
        ["predicted", format_ms(result.predicted_ms)],
        ["budget", format_ms(result.budget_ms)],
        ["verdict", verdict(result.is_within_budget)],
        ["target", result.target],
    ]
    title = f"{result.method}: {result.architecture}"
    table = html_table(title, ["figure", "value"], rows)
    try:
        drawn = chain_html(break_down(result.load_space(), result.load_architecture()))
    except InputError:
        return table
    return table + str(drawn)
