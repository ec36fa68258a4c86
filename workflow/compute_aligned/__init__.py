"""Compute Aligned Training: operators, objectives, trainers and exact metrics, to import in a project of your own.

The names of ``__all__`` are public; each is loaded when it is first used, so that the metrics come without torch.
docs/library.md shows the use of the trainers and the metrics.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

# name -> module that defines it
_HOME = {
    "PassAtN": "operators",
    "Majority": "operators",
    "BestOfN": "operators",
    "SFTObjective": "objectives",
    "sft_objective": "objectives",
    "AdvantageSettings": "advantages",
    "RLObjective": "advantages",
    "Rollouts": "advantages",
    "rl_objective": "advantages",
    "pass_at_k": "metrics",
    "pass_curve": "metrics",
    "majority_at_k": "metrics",
    "majority_curve": "metrics",
    "best_of_k": "metrics",
    "best_of_curve": "metrics",
    "paired_difference": "statistics",
    "ComputeAlignedSFTTrainer": "training.sft",
    "ComputeAlignedGRPOTrainer": "training.grpo",
}
__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from .advantages import AdvantageSettings, RLObjective, Rollouts, rl_objective
    from .metrics import best_of_curve, best_of_k, majority_at_k, majority_curve, pass_at_k, pass_curve
    from .objectives import SFTObjective, sft_objective
    from .operators import BestOfN, Majority, PassAtN
    from .statistics import paired_difference
    from .training.grpo import ComputeAlignedGRPOTrainer
    from .training.sft import ComputeAlignedSFTTrainer

# On CPUs with bfloat16 it warns at import of an optional kernel that is not used here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
