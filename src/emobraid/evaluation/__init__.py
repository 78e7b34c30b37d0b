"""Evaluation in two steps: predict once into a `Predictions` table, then scores, calibration, files and pictures."""

from emobraid.evaluation.calibration import fit_temperature, fit_temperatures
from emobraid.evaluation.metrics import (
    Baseline,
    Scores,
    adaptive_ece,
    brier,
    classification,
    classwise_ece,
    ece,
    macro_f1,
    nll,
)
from emobraid.evaluation.predictions import Predictions, subsets
from emobraid.evaluation.report import evaluate_predictions, print_report, write_report

__all__ = [
    "Baseline",
    "Predictions",
    "Scores",
    "adaptive_ece",
    "brier",
    "classification",
    "classwise_ece",
    "ece",
    "evaluate_predictions",
    "fit_temperature",
    "fit_temperatures",
    "macro_f1",
    "nll",
    "print_report",
    "subsets",
    "write_report",
]
