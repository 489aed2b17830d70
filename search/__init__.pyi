from .architecture import Architecture as Architecture
from .budget import parse_budget as parse_budget
from .data import DataSource as DataSource
from .data import from_dataset as from_dataset
from .data import open_data as open_data
from .derive import derive as derive
from .expected_latency import LatencyMatrix as LatencyMatrix
from .gradient_kernel import mean_gram as mean_gram
from .knas import knas_search as knas_search
from .pool import sample_pool as sample_pool
from .proxyless import proxyless_search as proxyless_search
from .spaces.registry import open_space as open_space

__all__ = [
    "Architecture",
    "DataSource",
    "LatencyMatrix",
    "derive",
    "from_dataset",
    "knas_search",
    "mean_gram",
    "open_data",
    "open_space",
    "parse_budget",
    "proxyless_search",
    "sample_pool",
]
