"""The HOOMD-blue plugin: an action that labels particles, and triggers that act on labels."""

from .classifier import Classifier
from .triggers import Fraction, LargestCluster

__all__ = ["Classifier", "Fraction", "LargestCluster"]
