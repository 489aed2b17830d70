"""The command line of Lutier, and what people see."""

__version__ = "0.1.0"
