"""Success rates of training problems: how often the model in training, sampled, gives the right answer."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..config.settings.common import SamplingSettings
from ..config.settings.training import TrainingSettings
from ..grading import answer_text, paper_grader
from ..models.tokenization import encode_prompts
from ..sampling.transformers_backend import sample_pools, sampling_mode, uniforms
from ..tasks import Problem
from ..tasks.reasoning_gym import Scorer


class SuccessRates:
    """The rates of all training examples, measured before the first optimiser step and every ``refresh_steps`` steps.

    ``state`` holds plain values for a checkpoint: the step of the last measurement and its rates.

    Args:
        measure: (model, step) -> rate of each example.
        refresh_steps: optimiser steps between two measurements.
    """

    def __init__(self, measure: Callable[[torch.nn.Module, int], Sequence[float]], refresh_steps: int):
        self.measure = measure
        self.refresh_steps = refresh_steps
        self.state: dict = {"step": None, "rates": []}

    def at(self, model: torch.nn.Module, step: int) -> Tensor:
        """The rates in force at an optimiser step (from 0), shape (examples,), float64."""
        due = step - step % self.refresh_steps
        if due != self.state["step"]:
            self.state |= {"step": due, "rates": list(self.measure(model, due))}
        return torch.tensor(self.state["rates"], dtype=torch.float64)


def success_rates(problems: Sequence[Problem], tokenizer, settings: TrainingSettings) -> SuccessRates | None:
    """How the problems' rates are measured in a run, or None if its objective does not ask for them.

    Args:
        problems: the training problems, in the order of the training examples.
        settings: of the run.
    """
    sampling = settings.success_rate
    if sampling is None:
        return None
    prompts = encode_prompts(tokenizer, problems)
    scorer = None if settings.questions is None else Scorer(settings.questions)

    def measure(model, step: int) -> list[float]:
        whole_is_answer = settings.target == "answer"
        return sampled_success_rates(
            model, tokenizer, problems, prompts, settings.seed, step, sampling, whole_is_answer, scorer
        )

    steps_per_epoch = math.ceil(len(problems) / settings.batch_size)
    return SuccessRates(measure, sampling.refresh_epochs * steps_per_epoch)


def sampled_success_rates(
    model,
    tokenizer,
    problems: Sequence[Problem],
    prompts: Sequence[list[int]],
    seed: int,
    step: int,
    settings: SamplingSettings,
    whole_is_answer: bool,
    scorer: Scorer | None = None,
) -> list[float]:
    """Share of right completions of each problem, by the paper's grader (strings and numbers alone: nothing can hang).

    A task that has a scorer of its own is graded by it.

    The random numbers depend on seed, step, problem and place alone, and torch's own generator is left as it was, so
    that a run taken up from a checkpoint draws what it would have drawn.

    Args:
        model: the model in training; it samples in evaluation mode and is left as it was.
        problems: the training problems.
        prompts: token ids of their prompts.
        seed: of the run.
        step: the optimiser step before which this is.
        settings: how to draw.
        whole_is_answer: whether a completion without a box is the answer itself.
        scorer: of the problems' task, if it has its own.
    """
    draws = [
        uniforms(seed, f"step {step}|{problem.problem_id}", settings.n_samples, settings.max_new_tokens)
        for problem in problems
    ]
    rates = [0.0] * len(problems)
    with sampling_mode(model):
        for index, pool in sample_pools(model, tokenizer, prompts, draws, settings):
            texts = tokenizer.batch_decode([completion.tokens for completion in pool], skip_special_tokens=True)
            right = [_is_right(text, problems[index], whole_is_answer, scorer) for text in texts]
            rates[index] = sum(right) / len(right)
    return rates


def _is_right(completion: str, problem: Problem, whole_is_answer: bool, scorer: Scorer | None) -> bool:
    if scorer is None:
        return paper_grader(completion, problem.answer, whole_is_answer)
    answer = answer_text(completion, whole_is_answer)
    return answer is not None and bool(scorer(problem.prompt, answer))


def base_success_rate(model, tokenizer, problems: Sequence[Problem], max_new_tokens: int) -> float:
    """Mean success rate of a base model as it is: 16 samples of each problem at temperature 1, nothing cut off.

    Args:
        model: the base model.
        problems: none that it was trained on.
        max_new_tokens: cut-off of a completion.
    """
    settings = SamplingSettings(
        n_samples=16, max_new_tokens=max_new_tokens, rows_per_batch=512, temperature=1.0, top_p=1.0, top_k=0
    )
    prompts = encode_prompts(tokenizer, problems)
    rates = sampled_success_rates(model, tokenizer, problems, prompts, 0, 0, settings, whole_is_answer=False)
    return sum(rates) / len(rates)
