"""Delegates: a log proves that one ran the whole model, or there is no figure."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.delegates import DELEGATES, refuse_fallback
from devices.errors import MeasurementError, UnknownNameError

KERNELS = {
    "xnnpack": "TfLiteXNNPackDelegate",
    "gpu": "TfLiteGpuDelegateV2",
    "nnapi": "TfLiteNnapiDelegate",
    "hexagon": "TfLiteHexagonDelegate",
}
PROVIDERS = {"xnnpack": "XNNPACK", "gpu": "GPU", "nnapi": "NNAPI", "hexagon": "Hexagon"}


def replacing(nodes: str, kernel: str, partitions: int = 1) -> str:
    return (
        f"VERBOSE: Replacing {nodes} node(s) with delegate ({kernel}) node,"
        f" yielding {partitions} partitions for subgraph 0.\n"
    )


def wholly(provider: str) -> str:
    return (
        f"INFO: Explicitly applied {provider} delegate, and the model graph will be completely"
        " executed by the delegate.\n"
    )


@pytest.mark.parametrize("delegate", KERNELS)
def test_a_delegate_that_takes_every_node_counts(delegate: str) -> None:
    refuse_fallback(replacing("12 out of 12", KERNELS[delegate]), delegate)
    refuse_fallback(wholly(PROVIDERS[delegate]), delegate)


def test_the_gpu_of_litert_counts() -> None:
    refuse_fallback(replacing("12 out of 12", "LITERT_CL"), "gpu")


def test_an_older_build_says_it_by_its_partitions() -> None:
    refuse_fallback(replacing("12", KERNELS["gpu"]), "gpu")
    with pytest.raises(MeasurementError, match="runs only 12 nodes: the rest fell back"):
        refuse_fallback(replacing("12", KERNELS["gpu"], partitions=3), "gpu")


def test_a_model_with_several_graphs_is_run_whole_in_each() -> None:
    whole = replacing("12 out of 12", KERNELS["xnnpack"])
    refuse_fallback(whole * 2, "xnnpack")
    with pytest.raises(MeasurementError, match="runs only 3 of 4 nodes"):
        refuse_fallback(whole + replacing("3 out of 4", KERNELS["xnnpack"], 2), "xnnpack")


@pytest.mark.parametrize("delegate", KERNELS)
def test_a_part_of_the_model_is_not_the_model(delegate: str) -> None:
    text = replacing("5 out of 64", KERNELS[delegate], 5)
    with pytest.raises(MeasurementError, match="runs only 5 of 64 nodes") as caught:
        refuse_fallback(text + replacing("59 out of 59", "TfLiteXNNPackDelegate"), delegate)
    assert "Replacing 5 out of 64" in caught.value.why


def test_a_part_by_the_words_of_the_tool_is_refused() -> None:
    text = wholly("GPU").replace("completely executed by the delegate", "partially executed by it")
    with pytest.raises(MeasurementError, match="only a part of the model"):
        refuse_fallback(text, "gpu")


@pytest.mark.parametrize("delegate", ["gpu", "nnapi", "hexagon"])
def test_another_delegate_is_a_fallback(delegate: str) -> None:
    with pytest.raises(MeasurementError, match=f"delegate {delegate} fell back: Replacing 9 out"):
        refuse_fallback(replacing("9 out of 9", KERNELS["xnnpack"]), delegate)


@pytest.mark.parametrize(
    ("delegate", "said"),
    [
        ("nnapi", "WARN: NNAPI acceleration is unsupported on this platform."),
        ("gpu", "GPU acceleration is unsupported on this platform."),
        (
            "hexagon",
            "Could not create Hexagon delegate: platform may not support delegate or required"
            " libraries are missing",
        ),
    ],
)
def test_a_fallback_gives_the_reason_of_the_log(delegate: str, said: str) -> None:
    text = f"nnapi error: no library\n{said}\n{replacing('9 out of 9', KERNELS['xnnpack'])}"
    with pytest.raises(MeasurementError, match="fell back") as caught:
        refuse_fallback(text, delegate)
    assert caught.value.why == said.removeprefix("WARN: ").rstrip(".")


def test_nodes_that_were_taken_and_given_back_are_not_run() -> None:
    taken = replacing("31 out of 31", KERNELS["nnapi"])
    with pytest.raises(MeasurementError, match="will not be executed by the delegate"):
        refuse_fallback(
            taken + "INFO: Though NNAPI delegate is explicitly applied, the model graph will not"
            " be executed by the delegate.\n",
            "nnapi",
        )
    with pytest.raises(MeasurementError, match="fell back: Node number 4"):
        refuse_fallback(
            taken + "ERROR: Node number 4 (TfLiteNnapiDelegate) failed to prepare.\n"
            "ERROR: Restored original execution plan after delegate application failure.\n",
            "nnapi",
        )


def test_the_reference_of_nnapi_is_the_cpu() -> None:
    taken = replacing("31 out of 31", KERNELS["nnapi"])
    refuse_fallback(f"NNAPI accelerators available: [edgetpu,nnapi-reference]\n{taken}", "nnapi")
    with pytest.raises(MeasurementError, match="nnapi-reference"):
        refuse_fallback(f"NNAPI accelerators available: [nnapi-reference]\n{taken}", "nnapi")


@pytest.mark.parametrize("delegate", KERNELS)
def test_a_log_that_names_no_delegate_proves_nothing(delegate: str) -> None:
    with pytest.raises(MeasurementError, match="names no delegate"):
        refuse_fallback("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n", delegate)


def test_no_delegate_means_none() -> None:
    refuse_fallback("INFO: Initialized TensorFlow Lite runtime.\n", "none")
    for text in (replacing("4 out of 4", KERNELS["xnnpack"]), wholly("GPU")):
        with pytest.raises(MeasurementError, match="no delegate was asked for"):
            refuse_fallback(text, "none")


def test_an_unknown_delegate_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="xnnpack"):
        refuse_fallback("", "xnnpac")


@given(
    st.lists(
        st.sampled_from((*map(wholly, PROVIDERS.values()), "\n", "(", "Replacing 4 ")) | st.text()
    ),
    st.sampled_from(DELEGATES),
)
def test_any_text_is_accepted_or_a_typed_error(parts: list[str], delegate: str) -> None:
    with suppress(MeasurementError):
        refuse_fallback("".join(parts), delegate)
