"""Strategies that spend a number of trainings on networks within a latency budget."""

import lazy_loader

# Names are handed on when they are used: importing this package imports nothing heavy.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
