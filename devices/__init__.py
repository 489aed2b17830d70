"""Where a model file runs: artefact in, raw timings out."""

import lazy_loader

# Names are handed on when they are used: importing this package imports nothing heavy.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
