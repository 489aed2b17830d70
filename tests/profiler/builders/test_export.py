"""Torch to ONNX: the file computes what the module computes in evaluation mode."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from op_examples import FBNET, FLOAT_KEYS, KEYS, NASBENCH201, inputs, trained
from torch import nn

from devices.errors import InputError
from profiler.builders.export import (
    INPUT_NAME,
    OUTPUT_NAME,
    GraphWriter,
    emit,
    onnx_bytes,
    torch_export_bytes,
)
from profiler.builders.modules import build_chain, build_op
from profiler.ops import OpSpec, kinds

CHAIN = [
    "conv/3x31x33/out=8,kernel=3,stride=2",
    "mbconv/8x16x17/out=8,kernel=3,expand=1",
    "identity/8x16x17/",
    "mbconv/8x16x17/out=12,kernel=5,stride=2,expand=6",
    "mbconv/12x8x9/out=12,kernel=7,expand=3",
    "depthwise_conv/12x8x9/kernel=3,activation=relu",
    "max_pool/12x8x9/kernel=3",
    "avg_pool/12x8x9/kernel=3,stride=2",
    "conv/12x4x5/out=20,kernel=1",
    "global_avg_pool/20x4x5/",
    "linear/20/out=10",
]


def run(data: bytes, x: torch.Tensor) -> npt.NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (output,) = session.run([OUTPUT_NAME], {INPUT_NAME: x.numpy()})
    return np.asarray(output)


def check_same(module: nn.Module, shape: tuple[int, ...], batch: int) -> None:
    """The file's output equals torch's to 1e-4 of the largest output."""
    x = inputs(shape, batch)
    with torch.no_grad():
        expected = module(x).numpy()
    output = run(onnx_bytes(module, shape, batch), x)
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= 1e-4 * np.abs(expected).max()


def test_every_kind_is_checked_here() -> None:
    assert {OpSpec.parse(key).kind for key in KEYS} == set(kinds())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("key", [*KEYS, *FLOAT_KEYS])
def test_an_op_computes_what_torch_computes(key: str, batch: int) -> None:
    spec = OpSpec.parse(key)
    check_same(trained(build_op(spec)), spec.input_shape, batch)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("keys", [CHAIN, FBNET, NASBENCH201], ids=["chain", "fbnet", "201"])
def test_a_network_computes_what_torch_computes(keys: list[str], batch: int) -> None:
    specs = [OpSpec.parse(key) for key in keys]
    check_same(trained(build_chain(specs)), specs[0].input_shape, batch)


def test_a_batch_norm_behind_no_convolution_is_one_node() -> None:
    data = onnx_bytes(
        trained(build_op(OpSpec.parse("batch_norm/5x7x3/activation=relu"))), (5, 7, 3)
    )
    nodes = onnx.load_from_string(data).graph.node
    assert [node.op_type for node in nodes] == ["BatchNormalization", "Relu"]


def test_what_is_added_to_a_batch_is_as_large_as_the_batch() -> None:
    module = build_op(OpSpec.parse("add/5x7x3/inputs=3"))
    graph = onnx.load_from_string(onnx_bytes(module, (5, 7, 3), batch=4)).graph
    assert [node.op_type for node in graph.node] == ["Add", "Add"]
    assert [list(weight.dims) for weight in graph.initializer] == [[4, 5, 7, 3]] * 2


def test_a_network_holds_no_batch_norm_and_only_static_shapes() -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    model = onnx.load_from_string(onnx_bytes(trained(build_chain(specs)), (3, 31, 33), 2))
    onnx.checker.check_model(model, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    (given,), (result,) = model.graph.input, model.graph.output
    assert (given.name, result.name) == ("input", "output")
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (given, result)]
    assert shapes == [[2, 3, 31, 33], [2, 10]]


def test_an_identity_inside_a_network_has_no_node() -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    without = [spec for spec in specs if not spec.is_free]
    counts = [
        len(onnx.load_from_string(onnx_bytes(build_chain(ops), (3, 31, 33))).graph.node)
        for ops in (specs, without)
    ]
    assert counts[0] == counts[1]


def test_an_identity_alone_hands_its_input_on() -> None:
    x = inputs((4, 9, 6), 1)
    assert np.array_equal(run(onnx_bytes(nn.Identity(), (4, 9, 6)), x), x.numpy())


@pytest.mark.parametrize("key", ["zero/2x4x4/", "zero/2x4x4/stride=2"])
def test_zero_of_an_infinite_input_is_zero(key: str) -> None:
    spec = OpSpec.parse(key)
    output = run(onnx_bytes(build_op(spec), (2, 4, 4)), torch.full((1, 2, 4, 4), float("inf")))
    assert np.array_equal(output, np.zeros((1, *spec.output_shape)))


def test_the_same_module_gives_the_same_bytes() -> None:
    module = trained(build_op(OpSpec.parse(KEYS[6])))
    assert onnx_bytes(module, (8, 16, 16)) == onnx_bytes(module, (8, 16, 16))


def test_writing_leaves_the_module_as_it_was() -> None:
    module = trained(build_op(OpSpec.parse(KEYS[6]))).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    onnx_bytes(module, (8, 16, 16))
    assert module.training
    after = module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Softplus(), "Softplus cannot be written"),
        (nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.GroupNorm(1, 3))), "GroupNorm"),
        (nn.BatchNorm2d(3, track_running_stats=False), "without running statistics"),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
            "without running statistics",
        ),
        (nn.Conv2d(3, 3, 3, padding="same"), "padding 'same'"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "padding mode 'reflect'"),
        (nn.AvgPool2d(2, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode"),
        (nn.MaxPool2d(2, return_indices=True), "return_indices"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_written_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        onnx_bytes(module, (3, 8, 8))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 9, 9)),
        (nn.Conv2d(4, 6, (3, 1), padding=(1, 0), dilation=2), (4, 9, 9)),
        (nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6, affine=False)), (4, 5, 5)),
        (nn.Sequential(nn.Conv2d(4, 6, 1), nn.Sequential(nn.BatchNorm2d(6))), (4, 5, 5)),
        (nn.BatchNorm2d(4, affine=False), (4, 5, 5)),
        (nn.Linear(7, 3, bias=False), (7,)),
        (nn.AvgPool2d((3, 2), padding=(1, 0)), (4, 9, 9)),
        (nn.MaxPool2d(2, dilation=2), (4, 9, 9)),
        (nn.ReLU6(), (4, 9, 9)),
        (nn.ReLU(), (4, 9, 9)),
    ],
    ids=[
        "biased",
        "oblong",
        "plain norm",
        "norm apart",
        "norm alone",
        "no bias",
        "average",
        "dilated max",
        "relu6",
        "relu",
    ],
)
def test_torchs_own_layers_can_be_written(module: nn.Module, shape: tuple[int, ...]) -> None:
    check_same(trained(module), shape, batch=2)


class Doubled(nn.Module):
    """A module of a user."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


@pytest.fixture
def doubled() -> Callable[[], nn.Module]:
    """A module with a writer whose last node is not its result."""

    @emit.register
    def _(module: Doubled, graph: GraphWriter, x: str) -> str:
        result = graph.node("Add", x, x)
        graph.node("Neg", result)
        return result

    return Doubled


def test_a_users_module_can_be_written(doubled: Callable[[], nn.Module]) -> None:
    check_same(doubled(), (3, 4, 4), batch=1)
    check_same(nn.Sequential(doubled(), nn.ReLU()).eval(), (3, 4, 4), batch=1)


def exported(module: nn.Module, shape: tuple[int, ...], batch: int) -> torch.export.ExportedProgram:
    return torch.export.load(io.BytesIO(torch_export_bytes(module, shape, batch)))


@pytest.mark.parametrize(
    "key",
    [
        "mbconv/8x9x9/out=8,kernel=3,expand=1,activation=relu,groups=2,expand_conv=always",
        "relu_conv/5x9x14/out=7,kernel=3,stride=2",
        "residual_block/4x8x6/out=8,stride=2",
        "batch_norm/5x7x3/activation=relu",
        "add/5x7x3/inputs=3",
    ],
)
def test_an_exported_op_computes_what_torch_computes(key: str) -> None:
    spec = OpSpec.parse(key)
    module = trained(build_op(spec))
    x = inputs(spec.input_shape, 2)
    program = exported(module, spec.input_shape, 2).module()
    with torch.no_grad():
        torch.testing.assert_close(program(x), module(x))


def test_what_an_exported_sum_adds_is_as_large_as_the_batch() -> None:
    module = nn.Sequential(build_op(OpSpec.parse("add/5x7x3/")), nn.ReLU())
    tensors = exported(module, (5, 7, 3), 4).constants.values()
    assert [tuple(tensor.shape) for tensor in tensors] == [(4, 5, 7, 3)]
    assert [tuple(tensor.shape) for tensor in module.buffers()] == [(1, 5, 7, 3)]


class Branching(nn.Module):
    """What runs depends on the values that come in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Faulty(nn.Module):
    """A module with a mistake in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return {"left": x}["right"]


@pytest.mark.parametrize("module", [Branching(), Faulty()], ids=["branching", "faulty"])
def test_what_cannot_be_exported_is_refused(module: nn.Module) -> None:
    name = type(module).__name__
    with pytest.raises(InputError, match=f"{name} cannot be exported by torch.export"):
        torch_export_bytes(module, (3, 4, 4))


@pytest.mark.gpu
def test_a_module_on_a_gpu_gives_the_same_bytes() -> None:
    specs = [OpSpec.parse(key) for key in CHAIN]
    module = trained(build_chain(specs))
    on_host = onnx_bytes(module, (3, 31, 33))
    assert np.allclose(
        run(onnx_bytes(module.cuda(), (3, 31, 33)), inputs((3, 31, 33), 1)),
        run(on_host, inputs((3, 31, 33), 1)),
        rtol=1e-4,
    )
