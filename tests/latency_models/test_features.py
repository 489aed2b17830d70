from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import UnknownNameError
from latency_models.features import (
    feature_frame,
    feature_names,
    features,
    kind_features,
    predictor_matrix,
    predictor_names,
)
from profiler.ops import OpSpec, kinds

EXAMPLES = {
    "add": OpSpec.make("add", (16, 8, 8), inputs=3),
    "batch_norm": OpSpec.make("batch_norm", (16, 8, 8), activation="relu"),
    "avg_pool": OpSpec.make("avg_pool", (8, 12, 10), kernel=3),
    "conv": OpSpec.make("conv", (3, 32, 30), out=16, kernel=3, stride=2),
    "depthwise_conv": OpSpec.make("depthwise_conv", (8, 9, 9), kernel=5),
    "global_avg_pool": OpSpec.make("global_avg_pool", (64, 4, 4)),
    "identity": OpSpec.make("identity", (8, 4, 4)),
    "linear": OpSpec.make("linear", (64,), out=10),
    "max_pool": OpSpec.make("max_pool", (8, 12, 10), kernel=3, stride=2),
    "mbconv": OpSpec.make("mbconv", (16, 14, 14), out=24, kernel=5, stride=2, expand=6),
    "relu_conv": OpSpec.make("relu_conv", (16, 8, 8), out=16, kernel=3),
    "residual_block": OpSpec.make("residual_block", (16, 8, 8), out=32, stride=2),
    "zero": OpSpec.make("zero", (8, 8, 8), stride=2),
}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_finite_features_in_a_fixed_order(kind: str) -> None:
    found = features(EXAMPLES[kind])
    assert tuple(found) == feature_names(kind)
    assert len(set(found)) == len(found)
    assert all(np.isfinite(value) and value >= 0 for value in found.values())


def test_parts_of_an_mbconv_add_up_to_its_flops() -> None:
    found = features(EXAMPLES["mbconv"])
    parts = found["expand_flops"] + found["depthwise_flops"] + found["project_flops"]
    assert parts == found["flops"] == EXAMPLES["mbconv"].flops
    assert found["depthwise_flops"] == 2 * 25 * 96 * 7 * 7


def test_a_block_that_does_not_expand_has_no_expansion_flops() -> None:
    found = features(OpSpec.make("mbconv", (16, 14, 14), out=16, kernel=3, expand=1))
    assert found["expand_flops"] == 0
    assert (found["has_expansion"], found["has_residual"]) == (0, 1)


def test_parts_of_a_block_in_groups_add_up_to_its_flops() -> None:
    spec = OpSpec.make(
        "mbconv", (16, 14, 14), out=24, kernel=5, expand=1, groups=2, expand_conv="always"
    )
    found = features(spec)
    parts = found["expand_flops"] + found["depthwise_flops"] + found["project_flops"]
    assert parts == found["flops"] == spec.flops
    assert (found["groups"], found["has_expansion"]) == (2, 1)


def test_groups_and_activation_of_a_block_select_other_code() -> None:
    levels = {feature.name for feature in kind_features("mbconv") if feature.is_level}
    assert {"groups", "activation_relu", "activation_hswish", "has_expansion"} <= levels
    assert "has_squeeze" in levels


def test_shapes_and_attributes_are_read_off_the_op() -> None:
    found = features(EXAMPLES["conv"])
    assert (found["input_height"], found["input_width"]) == (32, 30)
    assert found["input_positions"] == 960
    assert (found["output_channels"], found["output_height"], found["output_width"]) == (16, 16, 15)
    assert (found["kernel"], found["stride"]) == (3, 2)
    assert (found["activation_relu6"], found["activation_none"]) == (1, 0)


def test_every_feature_has_a_unit() -> None:
    units = {feature.unit for kind in kinds() for feature in kind_features(kind)}
    assert units == {"FLOP", "B", "pixel", "1"}


def test_frame_has_a_row_an_op_and_leaves_foreign_features_empty() -> None:
    frame = feature_frame([EXAMPLES["linear"], EXAMPLES["mbconv"]])
    assert list(frame.index) == [EXAMPLES["linear"].key, EXAMPLES["mbconv"].key]
    assert np.isnan(frame.loc[EXAMPLES["linear"].key, "kernel"])
    assert frame.loc[EXAMPLES["mbconv"].key, "expand"] == 6


def test_frame_of_no_ops_is_empty() -> None:
    assert len(feature_frame([])) == 0


def test_predictors_are_the_named_columns() -> None:
    spec = EXAMPLES["mbconv"]
    found = features(spec)
    wanted = [[found[name] for name in predictor_names("mbconv")]]
    np.testing.assert_array_equal(predictor_matrix("mbconv", [spec]), wanted)
    assert predictor_matrix("mbconv", []).shape == (0, len(predictor_names("mbconv")))


def test_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownNameError, match="mbconv"):
        feature_names("mbcnv")


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 512),
    st.integers(1, 64),
    st.sampled_from([3, 5, 7]),
    st.sampled_from([1, 2]),
    st.integers(1, 512),
)
def test_different_convolutions_have_different_predictors(
    channels: int, size: int, kernel: int, stride: int, out: int
) -> None:
    spec = OpSpec.make("conv", (channels, size, size), out=out, kernel=kernel, stride=stride)
    wider = OpSpec.make("conv", (channels, size, size), out=out + 1, kernel=kernel, stride=stride)
    rows = predictor_matrix("conv", [spec, wider])
    assert (rows[0] != rows[1]).any()
