"""The HOOMD-blue plugin: an action that labels, and triggers that fire on what it finds."""

from .classifier import Classifier
from .triggers import Fraction

__all__ = ["Classifier", "Fraction"]
