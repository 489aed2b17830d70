from .artifact import Artifact as Artifact
from .artifact import ArtifactFolder as ArtifactFolder
from .base import Device as Device
from .base import LoadedModel as LoadedModel
from .environment import Environment as Environment
from .errors import LutierError as LutierError
from .registry import open_device as open_device
from .registry import open_target as open_target
from .target import Target as Target

__all__ = [
    "Artifact",
    "ArtifactFolder",
    "Device",
    "Environment",
    "LoadedModel",
    "LutierError",
    "Target",
    "open_device",
    "open_target",
]
