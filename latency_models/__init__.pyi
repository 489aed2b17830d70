from .base import AdditiveLatencyModel as AdditiveLatencyModel
from .base import NetworkLatencyModel as NetworkLatencyModel
from .base import OpLatencyModel as OpLatencyModel
from .composite import CompositeModel as CompositeModel
from .evaluate import Evaluation as Evaluation
from .evaluate import evaluate as evaluate
from .fit import FittedModel as FittedModel
from .fit import NetworkSample as NetworkSample
from .fit import fit_latency_model as fit_latency_model
from .lookup import LookupModel as LookupModel
from .network import SumModel as SumModel
from .op_transfer import OpTransfer as OpTransfer
from .persist import load_model as load_model
from .persist import save_model as save_model
from .regressors import OpRegressors as OpRegressors
from .transfer import DeviceTransfer as DeviceTransfer

__all__ = [
    "AdditiveLatencyModel",
    "CompositeModel",
    "DeviceTransfer",
    "Evaluation",
    "FittedModel",
    "LookupModel",
    "NetworkLatencyModel",
    "NetworkSample",
    "OpLatencyModel",
    "OpRegressors",
    "OpTransfer",
    "SumModel",
    "evaluate",
    "fit_latency_model",
    "load_model",
    "save_model",
]
