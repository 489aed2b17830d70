"""The words of NAS-Bench-201: Dong and Yang, ICLR 2020."""

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations of an edge, in the order that the benchmark numbers them."""
