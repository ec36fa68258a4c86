"""What makes the questions of a procedural task, and so its scorer, too (tasks/reasoning_gym.py)."""

from ..settings import Count, Seed, Settings, Text

Value = bool | int | float | str | list[bool | int | float | str]


class Questions(Settings):
    """Distinct questions of one task; the same settings give the same ones."""

    task: Text
    """name of a task of reasoning-gym, such as leg_counting"""
    settings: dict[str, Value]
    """the task's own settings; those left out are its defaults"""
    seed: Seed
    """seed of the questions and of the choice of problems"""
    n: Count
    """how many"""
    prompt: Text
    """the user turn, in which {problem} stands for the question"""
