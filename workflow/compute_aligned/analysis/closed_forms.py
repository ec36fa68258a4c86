"""Curves of weights over p, alignment, variance and normalisation, as tables."""

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from ..advantages import RLObjective, Rollouts, rl_objective
from ..config.settings.closed_forms import ClosedFormSettings, Normalisation
from ..objectives import strategy
from ..provenance.artifacts import write_artifact
from .scaling_factors import (
    alignment,
    change_within_prompt,
    estimator_variances,
    gradient_norms,
    mean_rl_weight,
    negligible_from,
    normalised_weights,
    ratio_of_means,
    simulated_estimators,
    simulated_ratio,
    starved_share,
    wasted_share,
    weight,
)


def compute_closed_forms(
    settings: ClosedFormSettings,
    reported: pd.DataFrame,
    path_to_curves: str,
    path_to_alignment: str,
    path_to_variance: str,
    path_to_normalisation: str,
    path_to_within_prompt: str,
) -> None:
    """Compute everything that the experiment's table and figures show.

    Args:
        settings: of the experiment.
        reported: the paper's values, ``config/reported.csv``.
        path_to_curves: weights of every strategy over p, on the grid and at the table's p.
        path_to_alignment: alignment, waste and starvation of every pair of strategies.
        path_to_variance: variance of CAT's estimator against the pivotal one.
        path_to_normalisation: length of the gradient with raw weights and with weights normalised over a batch.
        path_to_within_prompt: what normalising within one prompt leaves of the weights.
    """
    write_artifact(weight_curves(settings), "curves", path_to_curves)
    write_artifact(alignments(settings, reported), "alignment", path_to_alignment)
    write_artifact(variances(**settings.variance.plain()), "variance", path_to_variance)
    normalisation = settings.normalisation
    write_artifact(batch_normalisations(normalisation), "normalisation", path_to_normalisation)
    write_artifact(within_prompt(**normalisation.within_prompt.plain()), "within_prompt", path_to_within_prompt)


def weight_curves(settings: ClosedFormSettings) -> pd.DataFrame:
    """Both weights of every strategy."""
    points = settings.points
    p = np.union1d(np.arange(1, points + 1) / points, settings.p)
    frames = []
    for name, form in itertools.product(settings.strategies, ("sft", "rl")):
        operator, label = strategy(name)
        values = weight(operator, form, p)
        frames.append(pd.DataFrame({"strategy": name, "label": label, "form": form, "p": p, "weight": values}))
    return pd.concat(frames, ignore_index=True)


def alignments(settings: ClosedFormSettings, reported: pd.DataFrame) -> pd.DataFrame:
    """Every pair of strategies, one to train on and one to test with; the paper's value beside it."""
    here = (reported["experiment"] == settings.name) & (reported["paper_item"] == settings.paper_item)
    rows = reported[here & (reported["metric"] == "alignment")]
    paper = {
        (model, f"Pass@{k:.0f}"): value for model, k, value in zip(rows["model"], rows["k"], rows["value"], strict=True)
    }
    names, threshold = settings.alignment.strategies, settings.alignment.negligible
    pairs = []
    for train, test in itertools.product(names, names):
        (train_operator, train_label), (test_operator, test_label) = strategy(train), strategy(test)
        pairs.append(
            {
                "train": train,
                "train_label": train_label,
                "test": test,
                "test_label": test_label,
                "alignment": alignment(train_operator, test_operator),
                "reported": paper.get((train_label, test_label), np.nan),
                "negligible": threshold,
                "train_negligible_from": negligible_from(train_operator, threshold),
                "test_negligible_from": negligible_from(test_operator, threshold),
                "wasted_share": wasted_share(train_operator, test_operator, threshold),
                "starved_share": starved_share(train_operator, test_operator, threshold),
            }
        )
    return pd.DataFrame(pairs)


def variances(n: list[int], p: list[float], draws: int, seed: int) -> pd.DataFrame:
    """Variances and their ratios in closed form and simulated, for every N and p."""
    random = np.random.default_rng(seed)
    rows = []
    for budget, chance in itertools.product(n, p):
        exact = estimator_variances(budget, chance)
        simulated = simulated_estimators(budget, chance, draws, random)
        row = {"n": budget, "p": chance, **exact}
        for name, top, bottom in (
            ("ratio", "cat", "pivotal"),
            ("ratio_summed", "cat_averaged", "pivotal_summed"),
        ):
            row[name] = exact[top] / exact[bottom]
            row[f"{name}_simulated"], row[f"{name}_se"] = simulated_ratio(simulated[top], simulated[bottom])
        rows.append(row | {"draws": draws})
    return pd.DataFrame(rows)


def batch_normalisations(normalisation: Normalisation) -> pd.DataFrame:
    """Simulated length of the gradient over GRPO's, raw and normalised over the batch; each strategy on the same p."""
    rows = []
    for (prompts, beta), batch in itertools.product(normalisation.prompts.items(), normalisation.batches):
        random = np.random.default_rng(normalisation.seed)
        p = random.beta(beta.a, beta.b, size=(normalisation.draws, batch))
        grpo = gradient_norms(np.ones_like(p), p)
        for name in normalisation.strategies:
            operator, label = strategy(name)
            raw = weight(operator, "rl", p)
            over_batch = normalised_weights(operator, p)
            row = {"strategy": name, "label": label, "prompts": prompts, "a": beta.a, "b": beta.b, "batch": batch}
            row["mean_weight"] = mean_rl_weight(operator, beta.a, beta.b)
            row["mean_deviation"] = np.abs(over_batch.mean(axis=-1) - 1).max()
            for form, weights in (("raw", raw), ("normalised", over_batch)):
                row[form], row[f"{form}_se"] = ratio_of_means(gradient_norms(weights, p), grpo)
            rows.append(row | {"draws": len(p)})
    return pd.DataFrame(rows)


def within_prompt(strategies: list[str], groups: list[int]) -> pd.DataFrame:
    """What normalising within one prompt leaves of the weights, the largest over everything that its group can hold."""
    rows = []
    for name, size in itertools.product(strategies, groups):
        objective = rl_objective(name)
        changes = [change_within_prompt(objective, rollouts) for rollouts in groups_of(objective, size)]
        weights, advantages = (max(values) for values in zip(*changes, strict=True))
        rows.append((name, objective.label, size, weights, advantages))
    return pd.DataFrame(rows, columns=["strategy", "label", "group", "weight_deviation", "advantage_deviation"])


def groups_of(objective: RLObjective, size: int) -> Iterator[Rollouts]:
    """Everything that the samples of one prompt can be to an objective, each with rewards of shape (1, size).

    Where samples share a weight: every number of right ones and of votes for the leading wrong answer, on which alone
    the weight depends. Otherwise, Best-of-N: distinct rewards.
    """
    if not objective.per_prompt:
        yield Rollouts(torch.arange(1.0, size + 1, dtype=torch.float64)[None])
        return
    for right in range(size + 1):
        wrong = size - right
        rewards = torch.tensor([[1.0] * right + [0.0] * wrong], dtype=torch.float64)
        for leading in range(min(wrong, 1), wrong + 1):
            others = [f"other {i}" for i in range(wrong - leading)]
            yield Rollouts(rewards, [["right"] * right + ["rival"] * leading + others])
