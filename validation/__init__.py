"""Analytic checks of everything in this distribution; `python -m validation` runs them."""

from .check import Check, Measurement, Mutant, Verdict

__all__ = ["Check", "Measurement", "Mutant", "Verdict"]
