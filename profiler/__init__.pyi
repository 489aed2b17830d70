from .jobs import Job as Job
from .ops import OpSpec as OpSpec
from .protocol import Protocol as Protocol
from .run import ProfileResult as ProfileResult
from .run import profile as profile
from .storage.database import MeasurementStore as MeasurementStore
from .table import LatencyTable as LatencyTable

__all__ = [
    "Job",
    "LatencyTable",
    "MeasurementStore",
    "OpSpec",
    "ProfileResult",
    "Protocol",
    "profile",
]
