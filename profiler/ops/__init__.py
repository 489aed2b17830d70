"""The op vocabulary: what can be measured, and what it costs on paper."""

from profiler.ops.kinds import Kind, kind_of, kinds
from profiler.ops.layers import Layer
from profiler.ops.spec import OpSpec

__all__ = ["Kind", "Layer", "OpSpec", "kind_of", "kinds"]
