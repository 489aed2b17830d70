"""Kernels: the nodes that a runtime makes of any network, as values that can be measured."""

from profiler.kernels.spec import KernelSpec, Operand

__all__ = ["KernelSpec", "Operand"]
