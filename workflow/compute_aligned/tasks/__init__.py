"""Tasks: where problems come from. ``loading`` knows them all; the rest of the package sees problems alone."""

from .problems import Problem, refuse_overlap, select

__all__ = ["Problem", "refuse_overlap", "select"]
