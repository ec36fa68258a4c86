"""What a preset costs, before anything is submitted: ``python -m compute_aligned plan config/paper.yaml``.

Times are those of a stated card by stated assumptions, or of the card that ``preflight`` measured on. They are upper
bounds where they matter most: completions are taken to be as long as they may be, as each batch is sampled until its
longest row has ended.
"""

import argparse
import csv
import heapq
import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakemake.utils import update_config

from ..config.files import read_yaml
from ..config.loading import load_settings
from ..config.resolving import recipes_and_objectives, rl_settings, sampling_settings, training_settings
from ..config.settings.common import LoadedModel, TrainedModel
from ..models.adapter import Adapter
from ..models.sources import read_source
from ..tasks.sources import ReasoningGym, Table, read_task
from .layout import Layout
from .memory import BYTES, GIB, Architecture, model_config, needed, preset_memory, train_problems
from .plan import START, WARMUP, Plan
from .site import PROFILE, hub_warnings, site_warnings, torch_warnings

HOUR = 3600.0
MEASURED = "preflight.csv"  # in the results folder: what ``preflight`` measured


@dataclass(frozen=True)
class Card:
    """A GPU, by its maker's data sheet.

    Attributes:
        memory: GiB.
        half: 10¹² operations per second in fp16 or bf16, on dense matrices.
        single: the same in fp32.
        bandwidth: of its memory, 10⁹ bytes per second.
        capability: compute capability, which torch's build must have code for.
    """

    memory: float
    half: float
    single: float
    bandwidth: float
    capability: tuple[int, int] = (7, 0)


CARDS = {
    "V100-16GB": Card(16, 125, 15.7, 900),
    "V100-32GB": Card(32, 125, 15.7, 900),
    "A100-40GB": Card(40, 312, 19.5, 1555, (8, 0)),
    "A100-80GB": Card(80, 312, 19.5, 2039, (8, 0)),
    "H100-80GB": Card(80, 989, 67, 3350, (9, 0)),
}
# Assumptions, none of them measured. The first two are what such trainers are often seen to reach.
UTILISATION = 0.2  # share of the card's operations per second, in training
BANDWIDTH_SHARE = 0.6  # share of its bandwidth, in sampling
LAYER_SECONDS = 1e-3  # Python and kernel launches, per layer and token sampled
STARTUP_SECONDS = 180.0  # of a job: imports, and the model read and quantised
# Mean tokens of MATH's prompts, with the question's frame, and of its targets; elsewhere four characters are a token.
MATH_TOKENS = {"prompt": 120, "answer": 8, "solution": 220}
CHARACTERS_PER_TOKEN = 4
BYTES_PER_SAMPLED_TOKEN = 2.5  # in the compressed table of samples
CHECKPOINTS_KEPT = 2

ASSUMPTIONS = (
    f"{UTILISATION:.0%} of the card's operations in training, {BANDWIDTH_SHARE:.0%} of its bandwidth and "
    f"{LAYER_SECONDS * 1e3:g} ms per layer in sampling, {STARTUP_SECONDS / 60:g} minutes to start a job; "
    f"MATH's prompts {MATH_TOKENS['prompt']}, answers {MATH_TOKENS['answer']}, solutions {MATH_TOKENS['solution']} "
    "tokens; completions as long as they may be, so times are upper bounds; grading, tables and figures need no GPU"
)


@dataclass(frozen=True)
class GpuJob:
    """A job of training or sampling.

    Attributes:
        recipe: its recipe.
        stage: ``warm-up``, ``training`` or ``sampling``.
        seconds: how long it takes; nan where that is not known.
        needs: names of the jobs that it waits for.
        disk: bytes that stay.
        passing: bytes that lie there while it runs.
    """

    recipe: str
    stage: str
    seconds: float
    needs: tuple[str, ...]
    disk: float
    passing: float


class Speeds:
    """How fast a preset's recipes are trained and sampled: as measured, else as assumed of a card.

    Args:
        settings: ``config.loading.load_settings``.
        card: the card assumed.
        measured: ``read_measured``: (recipe, stage) -> tokens per second.
    """

    def __init__(self, settings: dict, card: Card, measured: Mapping[tuple[str, str], float]):
        self.settings, self.card, self.measured = settings, card, measured

    def sizes(self, recipe: str) -> Architecture:
        """The sizes of a recipe's model.

        Raises:
            ValueError: they are not known before it is made.
        """
        model = self.settings["preset"]["models"][self.settings["recipes"][recipe]["model"]]
        return Architecture.of(model_config(read_source(model["source"])))

    def training(self, recipe: str, chosen: TrainedModel) -> float:
        """Tokens trained on per second."""
        if (recipe, "training") in self.measured:
            return self.measured[recipe, "training"]
        sizes = self.sizes(recipe)
        weights = sizes.matrices + sizes.other
        # Forward pass, gradients of activations, of weights where all are trained, and checkpointing's second forward.
        passes = 2 + (not self.is_adapter(recipe)) + chosen.gradient_checkpointing
        peak = self.card.single if chosen.precision == "fp32" else self.card.half
        return UTILISATION * peak * 1e12 / (2 * weights * passes)

    def sampling(self, recipe: str, chosen: LoadedModel, new_tokens: int, rows: int, prompt: float) -> float:
        """Tokens sampled per second, all rows of a batch together.

        Args:
            recipe: whose model.
            chosen: how it is loaded.
            new_tokens: longest completion.
            rows: sequences decoded at once.
            prompt: mean length, in tokens.
        """
        if (recipe, "sampling") in self.measured:
            measured_rows = self.settings["preset"]["recipes"][recipe]["evaluation"]["rows_per_batch"]
            return self.measured[recipe, "sampling"] * min(1, rows / measured_rows)
        sizes, c = self.sizes(recipe), BYTES[chosen.precision]
        # NF4 is read, written in the type that it is multiplied in, and read again.
        weight_bytes = (sizes.matrices * (0.5 + 2 * c if chosen.quantization else c)) + c * sizes.other
        cache = rows * (prompt + new_tokens / 2) * 2 * sizes.keys * sizes.layers * c
        step = sizes.layers * LAYER_SECONDS + (weight_bytes + cache) / (BANDWIDTH_SHARE * self.card.bandwidth * 1e9)
        return rows / step

    def is_adapter(self, recipe: str) -> bool:
        method = self.settings["recipes"][recipe]
        return method["adapter"] is not None and self.settings["preset"]["models"][method["model"]]["adapter"]

    def trained_weights(self, recipe: str) -> int:
        sizes = self.sizes(recipe)
        if not self.is_adapter(recipe):
            return sizes.matrices + sizes.other
        return sizes.adapter(Adapter(**self.settings["recipes"][recipe]["adapter"]))


def gpu_jobs(plan: Plan, speeds: Speeds) -> dict[str, GpuJob]:
    """The jobs of training and sampling, by name: ``recipe/objective[/seed]``, that of its pools with ``, pools``."""
    in_one_job = plan.preset["seeds_in_one_job"]
    seeds_per_job = len(plan.seeds) if in_one_job else 1
    jobs = {}
    sampled = {pair for entry in plan.experiments.values() for pair in recipes_and_objectives(entry)}
    sampled |= {(run["recipe"], START) for name in plan.of_kind("comparison") for run in plan.start_runs(name)}
    for recipe, objectives in plan.objectives.items():
        lengths = _lengths(plan.settings, recipe)
        for objective in (*objectives, START):
            start = plan.warmup_recipe(recipe) if objective != WARMUP else None
            for suffix in [""] if in_one_job else [f"/seed{seed}" for seed in plan.seeds_of_runs(recipe, objective)]:
                before = () if start is None else (f"{start}/{WARMUP}{suffix}",)
                name = f"{recipe}/{objective}{suffix}"
                if objective != START:
                    jobs[name] = _training(plan, speeds, recipe, objective, lengths, before, seeds_per_job)
                    before = (name,)
                if (recipe, objective) in sampled:
                    jobs[f"{name}, pools"] = _sampling(plan, speeds, recipe, lengths, before, seeds_per_job)
    return jobs


def jobs_of(plan: Plan, experiment: str, jobs: Mapping[str, GpuJob]) -> set[str]:
    """Names of the jobs that an experiment needs, shared ones included."""
    pairs = set(recipes_and_objectives(plan.experiments[experiment]))
    if plan.experiments[experiment]["kind"] == "comparison":
        pairs.add((plan.baseline_of(experiment)["recipe"], START))
    found: set[str] = set()
    seeds = {f"seed{seed}" for seed in plan.seeds_of(experiment)}
    wanted = []
    for name in (name.removesuffix(", pools") for name in jobs if name.endswith(", pools")):
        recipe, objective, *seed = name.split("/")  # no seed where a job goes through all
        if (recipe, objective) in pairs and seeds.issuperset(seed):
            wanted.append(f"{name}, pools")
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += jobs[name].needs
    return found


def wall_seconds(jobs: Mapping[str, GpuJob], names: Iterable[str], at_once: int) -> float:
    """How long some jobs take, so many at once, the longest first of those that could run; queueing is not counted."""
    waiting = {name: {need for need in jobs[name].needs} for name in names}
    ready = [(-jobs[name].seconds, name) for name, needs in waiting.items() if not needs]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < at_once:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + jobs[name].seconds, name))
        now, done = heapq.heappop(running)
        for name, needs in waiting.items():
            if done in needs:
                needs.remove(done)
                if not needs:
                    heapq.heappush(ready, (-jobs[name].seconds, name))
    return now


def plan_rows(plan: Plan, speeds: Speeds, at_once: int) -> list[dict]:
    """A row per experiment that needs a GPU, and one of all, in which jobs that experiments share are counted once.

    Columns: experiment, jobs, gpu_hours, longest_job_hours, peak_gpu_gib, disk_gib, wall_hours.
    """
    jobs = gpu_jobs(plan, speeds)
    memory = {key: needed(phases) / GIB for key, phases in preset_memory(plan.settings).items()}
    chosen = {name: jobs_of(plan, name, jobs) for name in plan.experiments}
    chosen = {name: names for name, names in chosen.items() if names} | {"all": set(jobs)}
    rows = []
    for experiment, names in chosen.items():
        hours = [jobs[name].seconds / HOUR for name in names]
        passing = sorted((jobs[name].passing for name in names), reverse=True)[:at_once]
        rows.append(
            {
                "experiment": experiment,
                "jobs": len(names),
                "gpu_hours": math.fsum(hours),
                "longest_job_hours": max(hours),
                "peak_gpu_gib": max(memory[jobs[name].recipe, jobs[name].stage] for name in names),
                "disk_gib": (math.fsum(jobs[name].disk for name in names) + math.fsum(passing)) / GIB,
                "wall_hours": wall_seconds(jobs, names, at_once) / HOUR,
            }
        )
    bases = math.fsum(_base_bytes(speeds, plan, model) for model in plan.models)
    rows[-1]["disk_gib"] += bases / GIB
    return rows


def warnings(plan: Plan, speeds: Speeds, rows: Sequence[dict], folder: Path) -> list[str]:
    """What would fail later: too little disk, memory or time for a job."""
    found = []
    total = rows[-1]
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free / GIB
    if free < total["disk_gib"]:
        found.append(f"{nearest} has {free:.0f} GiB free, the results need {total['disk_gib']:.0f}")
    if total["peak_gpu_gib"] > speeds.card.memory:
        found.append(f"a job needs {total['peak_gpu_gib']:.1f} GiB of GPU memory, the card has {speeds.card.memory:g}")
    runtime = {stage: 60 * plan.preset["resources"][stage]["runtime"] for stage in ("sample", "train")}
    jobs = gpu_jobs(plan, speeds)
    limits = {name: runtime["sample" if job.stage == "sampling" else "train"] for name, job in jobs.items()}
    if late := [name for name, job in jobs.items() if job.seconds > limits[name]]:
        longest = max(late, key=lambda name: jobs[name].seconds)
        found.append(
            f"{len(late)} jobs may reach their time limit; the longest, {longest}, may take "
            f"{jobs[longest].seconds / HOUR:.0f} h, its runtime is {limits[longest] / HOUR:g} h (submitted again, it "
            "goes on from its checkpoints)"
        )
    return found


def table(rows: Sequence[dict], at_once: int) -> str:
    """The rows as plain text."""
    width = max(len(row["experiment"]) for row in rows)
    heads = ("jobs", "GPU hours", "longest", "GPU GiB", "disk GiB", f"h at {at_once}")
    lines = [f"{'experiment':{width}} " + " ".join(f"{head:>9}" for head in heads)]
    for row in rows:
        numbers = [f"{row['jobs']:9d}", *(f"{value:9.1f}" for value in list(row.values())[2:])]
        lines.append(f"{row['experiment']:{width}} " + " ".join(numbers))
    return "\n".join(lines)


# --- parts -----------------------------------------------------------------------------------------------------------


def _lengths(settings: dict, recipe: str) -> tuple[float, float, float]:
    """Mean tokens of a prompt and of a target, and how many training problems there are of a recipe's levels.

    A table on the hub is not read: it counts as MATH, with the rows that the preset expects of it.
    """
    method = settings["recipes"][recipe]
    task = read_task(settings["preset"]["data"][method["task"]])
    if isinstance(task, Table) and task.source.train_file is None:
        share, rows = 1.0, math.nan
        if task.expected is not None:
            rows, counts = task.expected.train, task.expected.test_levels
            share = 1.0 if counts is None else sum(counts[level - 1] for level in method["levels"]) / sum(counts)
        return MATH_TOKENS["prompt"], MATH_TOKENS[method["target"]], share * rows
    problems = train_problems(task)
    column = {"answer": "answer", "solution": "target"}[method["target"]]
    prompt, target = (sum(len(getattr(p, key)) for p in problems) / len(problems) for key in ("prompt", column))
    if isinstance(task, ReasoningGym):
        n = task.sizes.train
    else:
        n = sum(problem.level in method["levels"] for problem in problems)
    return 1 + prompt / CHARACTERS_PER_TOKEN, 1 + target / CHARACTERS_PER_TOKEN, n


def _training(plan, speeds, recipe, objective, lengths, before, seeds_per_job) -> GpuJob:
    prompt, target, n_of_levels = lengths
    supervised = objective == WARMUP or plan.recipe(recipe)["trainer"] == "sft"
    if supervised:
        chosen = training_settings(plan.settings, recipe, objective, plan.seeds[0])
        n = chosen.train_problems or n_of_levels
        seconds = chosen.epochs * n * (prompt + target) / speeds.training(recipe, chosen)
        if chosen.success_rate is not None:
            rates = chosen.success_rate
            rounds = chosen.epochs / rates.refresh_epochs
            tokens = rounds * n * rates.n_samples * rates.max_new_tokens
            seconds += tokens / speeds.sampling(recipe, chosen, rates.max_new_tokens, rates.rows_per_batch, prompt)
    else:
        chosen = rl_settings(plan.settings, recipe, objective, plan.seeds[0])
        rows = chosen.prompts_per_step * chosen.group_size
        sampled = rows * chosen.max_new_tokens
        # The reference goes forward once, a third of what training takes.
        trained = (sampled + rows * prompt) * (1 + (chosen.beta > 0) / 3)
        seconds = chosen.steps * (
            sampled / speeds.sampling(recipe, chosen, chosen.max_new_tokens, rows, prompt)
            + trained / speeds.training(recipe, chosen)
        )
    weights = 4 * speeds.trained_weights(recipe)
    stage = "warm-up" if objective == WARMUP else "training"
    passing = 3 * weights * CHECKPOINTS_KEPT * seeds_per_job
    return GpuJob(recipe, stage, STARTUP_SECONDS + seeds_per_job * seconds, before, weights * seeds_per_job, passing)


def _sampling(plan, speeds, recipe, lengths, before, seeds_per_job) -> GpuJob:
    chosen = sampling_settings(plan.settings, recipe, plan.seeds[0])
    tokens = chosen.problems * chosen.n_samples * chosen.max_new_tokens
    rows = min(chosen.rows_per_batch, chosen.problems * chosen.n_samples)
    seconds = tokens / speeds.sampling(recipe, chosen, chosen.max_new_tokens, rows, lengths[0])
    disk = tokens * BYTES_PER_SAMPLED_TOKEN
    return GpuJob(
        recipe,
        "sampling",
        STARTUP_SECONDS + seeds_per_job * seconds,
        before,
        disk * seeds_per_job,
        disk * seeds_per_job,
    )


def _base_bytes(speeds: Speeds, plan: Plan, model: str) -> float:
    """The hub's cache, and the base model's folder."""
    recipe = next(name for name in plan.objectives if plan.recipe(name)["model"] == model)
    sizes = speeds.sizes(recipe)
    return 2 * (sizes.matrices + sizes.other) * (2 if speeds.is_adapter(recipe) else 4)


def read_measured(path: Path) -> tuple[dict[tuple[str, str], float], str]:
    """Tokens per second by recipe and stage (``training`` or ``sampling``), and the device that they were measured on.

    Raises:
        ValueError: the file is not as ``preflight`` writes it.
    """
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    stages = {"supervised": "training", "sampling": "sampling"}
    try:
        found = {
            (row["recipe"], stages[row["stage"]]): float(row["tokens_per_second"])
            for row in rows
            if row["stage"] in stages and row["fault"] == ""
        }
        return found, rows[0]["device"]
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: not as preflight writes it; delete it, or run preflight again") from error


def settings_of(presets: Sequence[Path], values: Sequence[str]) -> dict:
    """The settings of some presets laid over one another, with ``key=value`` as after Snakemake's ``--config``."""
    content: dict = {}
    for preset in presets:
        update_config(content, read_yaml(preset))
    for value in values:
        key, _, given = value.partition("=")
        update_config(content, {key: json.loads(given)})
    return load_settings(content, " + ".join(map(str, presets)), presets[0].parent)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned plan", description=__doc__.splitlines()[0])
    parser.add_argument("presets", type=Path, nargs="+", help="a preset, such as config/paper.yaml")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=JSON", help="values laid over the preset's")
    parser.add_argument("--card", choices=CARDS, default="V100-16GB", help="the GPU (default: the paper's)")
    parser.add_argument("--jobs", type=int, default=50, help="GPU jobs at once (default: 50)")
    parser.add_argument("--site", type=Path, default=PROFILE, help=f"the cluster's profile (default: {PROFILE})")
    parser.add_argument("--csv", type=Path, help="write the table there, too")
    arguments = parser.parse_args()
    settings = settings_of(arguments.presets, arguments.config)
    plan = Plan(settings, Layout(f"results/{settings['preset']['preset']}"))
    if not any(resources.get("gpu") for resources in settings["preset"]["resources"].values()):
        print(f"Preset {settings['preset']['preset']} needs no GPU; `snakemake -n` lists its jobs.")
        return
    measured_at = Path(plan.layout.root) / MEASURED
    measured, device = read_measured(measured_at) if measured_at.exists() else ({}, None)
    speeds = Speeds(settings, CARDS[arguments.card], measured)
    rows = plan_rows(plan, speeds, arguments.jobs)
    print(table(rows, arguments.jobs))
    source = f"measured on {device} ({measured_at})" if measured else f"assumed of a {arguments.card}"
    print(f"Speeds: {source}. Assumptions: {ASSUMPTIONS}.")
    found = warnings(plan, speeds, rows, Path(plan.layout.root))
    precisions = {plan.preset["models"][name]["precision"] for name in plan.models}
    found += torch_warnings(precisions, arguments.card, speeds.card.capability)
    longest = max(resources["runtime"] for resources in settings["preset"]["resources"].values())
    found += hub_warnings(plan) + site_warnings(arguments.site, longest)
    for warning in found:
        print(f"Beware: {warning}.")
    if arguments.csv is not None:
        arguments.csv.parent.mkdir(parents=True, exist_ok=True)
        with open(arguments.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"plan: {error}")
