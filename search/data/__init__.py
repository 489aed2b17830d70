"""Labelled images to search and train on: opened by name, or any torch dataset from Python."""

from search.data import cifar as _cifar  # noqa: F401  # registers itself, as the next ones do
from search.data import digits as _digits  # noqa: F401
from search.data import idx as _idx  # noqa: F401
from search.data import imagefolder as _imagefolder  # noqa: F401
from search.data.check import check_data, check_outputs
from search.data.registry import data_names, full_name, open_data, register_data, register_folder
from search.data.source import DataSource, Images, batches, fetch, from_dataset, size_of

__all__ = [
    "DataSource",
    "Images",
    "batches",
    "check_data",
    "check_outputs",
    "data_names",
    "fetch",
    "from_dataset",
    "full_name",
    "open_data",
    "register_data",
    "register_folder",
    "size_of",
]
