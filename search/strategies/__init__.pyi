from .admissible import Admissible as Admissible
from .admissible import ChainAdmissible as ChainAdmissible
from .admissible import ListAdmissible as ListAdmissible
from .admissible import admissible_within as admissible_within
from .base import Evaluation as Evaluation
from .base import Strategy as Strategy
from .base import StrategyResult as StrategyResult
from .evolution import RegularizedEvolution as RegularizedEvolution
from .local import LocalSearch as LocalSearch
from .nsga2 import Nsga2 as Nsga2
from .predictor import PredictorSearch as PredictorSearch
from .reinforce import Reinforce as Reinforce
from .tpe import TpeSearch as TpeSearch
from .uniform import RandomSearch as RandomSearch

__all__ = [
    "Admissible",
    "ChainAdmissible",
    "Evaluation",
    "ListAdmissible",
    "LocalSearch",
    "Nsga2",
    "PredictorSearch",
    "RandomSearch",
    "RegularizedEvolution",
    "Reinforce",
    "Strategy",
    "StrategyResult",
    "TpeSearch",
    "admissible_within",
]
