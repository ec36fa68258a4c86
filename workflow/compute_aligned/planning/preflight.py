"""Minutes on one GPU before a day on fifty: ``python -m compute_aligned preflight config/paper.yaml``.

For each recipe of a preset, at its true sizes: the model is loaded, trained for a few steps, supervised and by
reinforcement learning, written, read back, and sampled from. With ``--random-weights`` nothing is fetched: the
architecture is that of the preset, the weights are random, and a token is a character.
"""

import argparse
import csv
import dataclasses
import shutil
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GenerationConfig

from ..config.resolving import rl_settings, sampling_settings, training_settings
from ..config.settings.common import LoadedModel
from ..models.loading import DTYPES, load_model, load_tokenizer
from ..models.making import character_tokenizer, plain_character_tokenizer
from ..models.sources import read_source
from ..models.tokenization import encode_example, encode_prompt
from ..provenance.artifacts import read_artifact, write_artifact
from ..sampling.evaluation import sample
from ..tasks import Problem
from ..tasks.loading import load_task
from ..tasks.sources import read_task
from ..training.checkpoints import last_whole_checkpoint
from ..training.grpo_run import train_grpo
from ..training.run_files import RunFiles
from ..training.sft_run import train_sft
from .cost import MEASURED, settings_of
from .layout import Layout
from .memory import GIB, model_config, needed, preset_memory
from .plan import WARMUP, Plan

# The first steps are slow, and where the loss is scaled they may be skipped while the scale comes down.
SUPERVISED_STEPS, RL_STEPS = 8, 4
ALL_CHARACTERS = "".join(sorted(string.printable))
COLUMNS = ["recipe", "stage", "seconds", "tokens_per_second", "peak_gib", "estimated_gib", "loss_scale", "checked"]
COLUMNS += ["fault", "device"]


def random_base_model(source: dict, precision: str, folder: Path) -> None:
    """Write a base model of a preset's architecture with random weights, and a tokenizer of one token per character."""
    make = plain_character_tokenizer if source.get("plain_prompts", False) else character_tokenizer
    tokenizer = make(ALL_CHARACTERS)
    config = model_config(read_source(source))
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config, dtype=DTYPES[precision]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    GenerationConfig(eos_token_id=[tokenizer.eos_token_id]).save_pretrained(folder)


class Preflight:
    """A preset's recipes, each tried on this machine's device.

    Args:
        plan: of the preset.
        bases: model -> folder of its base model.
        folder: for what is made on the way.
    """

    def __init__(self, plan: Plan, bases: dict[str, Path], folder: Path):
        self.plan, self.bases, self.folder = plan, bases, folder
        cuda = torch.cuda.is_available()
        self.device = torch.cuda.get_device_name() if cuda else "CPU"
        try:
            self.estimates = {key: needed(phases) / GIB for key, phases in preset_memory(plan.settings).items()}
        except ValueError:  # an architecture that is not known before it is made
            self.estimates = {}

    def rows(self, recipes: Iterable[str], say: Callable[[dict], None]) -> list[dict]:
        """A row per recipe and stage, with columns ``COLUMNS``; each is told as soon as it is known.

        A stage that fails has its sentence under ``fault``, and the stages after it are left out.
        """
        found = []
        for recipe in recipes:
            for row in self._stages(recipe):
                found.append(row)
                say(row)
                if row["fault"]:
                    break
        return found

    def _stages(self, recipe: str):
        method = self.plan.recipe(recipe)
        work = self.folder / recipe
        base = self.bases[method["model"]]
        shared = {"base": base, "start": base, "load": 0.0}
        yield self._timed(recipe, "load", None, lambda: self._load(recipe, shared))
        warmup = self.plan.warmup_recipe(recipe)
        if warmup is not None or method["trainer"] == "sft":
            stage = "training" if warmup is None else "warm-up"
            yield self._timed(recipe, "supervised", stage, lambda: self._supervised(recipe, warmup, work, shared))
        if method["trainer"] == "grpo" and self.plan.objectives[recipe] != [WARMUP]:
            yield self._timed(recipe, "GRPO", "training", lambda: self._grpo(recipe, work, shared))
        yield self._timed(recipe, "sampling", "sampling", lambda: self._sampling(recipe, work, shared))
        shutil.rmtree(work, ignore_errors=True)

    def _timed(self, recipe: str, stage: str, estimated: str | None, run: Callable[[], dict]) -> dict:
        row = dict.fromkeys(COLUMNS) | {"recipe": recipe, "stage": stage, "device": self.device, "fault": ""}
        row["estimated_gib"] = self.estimates.get((recipe, estimated))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            row |= run()
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: out of memory, no kernel for this card
            row["fault"] = " ".join(str(error).split())
        if cuda:
            row["peak_gib"] = torch.cuda.max_memory_allocated() / GIB
        return row

    def _load(self, recipe: str, shared: dict) -> dict:
        model = self.plan.preset["models"][self.plan.recipe(recipe)["model"]]
        start = time.perf_counter()
        load_model(shared["base"], shared["base"], model["precision"], model["quantization"], trainable=True)
        shared["load"] = time.perf_counter() - start
        return {"seconds": shared["load"], "checked": "read"}

    def _supervised(self, recipe: str, warmup: str | None, work: Path, shared: dict) -> dict:
        of, objective = (recipe, self.plan.objectives[recipe][0]) if warmup is None else (warmup, WARMUP)
        settings = training_settings(self.plan.settings, of, objective, self.plan.seeds[0])
        problems = self.problems(of, settings.batch_size, settings.max_length)
        settings = settings | {"train_problems": len(problems), "epochs": SUPERVISED_STEPS, "checkpoint_steps": 10**6}
        facts = train_sft(self._files(work, shared, problems, "supervised"), settings, self.threads)
        record = read_artifact("training", work / "supervised.parquet")
        _refuse_unless_finite(record["log_p"])
        _refuse_unless_read_back(shared["base"], work / "supervised", settings)
        shared["start"] = work / "supervised"
        seconds = facts["log"][-1]["train_runtime"] / SUPERVISED_STEPS
        tokenizer = load_tokenizer(shared["base"])
        side = {"answer": "answer", "solution": "target"}[settings.target]
        tokens = sum(
            len(encode_example(tokenizer, "", p.prompt, getattr(p, side), settings.max_length)["input_ids"])
            for p in problems
        )
        checked = "log p finite, weights moved, written and read back"
        told = {"loss_scale": loss_scale(Path(facts["checkpoints"])), "checked": checked}
        return {"seconds": seconds, "tokens_per_second": tokens / seconds} | told

    def _grpo(self, recipe: str, work: Path, shared: dict) -> dict:
        settings = rl_settings(self.plan.settings, recipe, self.plan.objectives[recipe][-1], self.plan.seeds[0])
        problems = self.problems(recipe, settings.prompts_per_step, None)
        settings = settings | {
            "problems": len(problems),
            "skipped_problems": 0,
            "steps": RL_STEPS,
            "checkpoint_steps": 10**6,
        }
        start = time.perf_counter()
        facts = train_grpo(self._files(work, shared, problems, "rl"), settings, self.threads, reward=variety)
        seconds = (time.perf_counter() - start - shared["load"]) / RL_STEPS
        record = read_artifact("rl_training", work / "rl.parquet")
        _refuse_unless_finite(record["kl"])
        _refuse_unless_read_back(shared["base"], work / "rl", settings)
        shared["start"] = work / "rl"
        tokens = settings.prompts_per_step * settings.group_size * settings.max_new_tokens
        told = {"loss_scale": loss_scale(Path(facts["checkpoints"]))}
        told["checked"] = "KL finite, weights moved, written and read back"
        return {"seconds": seconds, "tokens_per_second": tokens / seconds} | told

    def _sampling(self, recipe: str, work: Path, shared: dict) -> dict:
        settings = sampling_settings(self.plan.settings, recipe, self.plan.seeds[0])
        rows = settings.rows_per_batch
        settings = settings | {"n_samples": min(settings.n_samples, rows)}
        problems = self.problems(recipe, max(1, rows // settings.n_samples), None)
        settings = settings | {"problems": len(problems), "problems_per_shard": len(problems)}
        files = self._files(work, shared, problems, "samples")
        start = time.perf_counter()
        sample(
            path_to_base=files.base,
            path_to_model=files.start,
            path_to_problems=files.problems,
            settings=settings,
            threads=self.threads,
            checkpoints=files.checkpoints,
            path_to_samples=files.record,
            run=files.run,
            code=files.code,
        )
        seconds = max(time.perf_counter() - start - shared["load"], 1e-9)
        samples = read_artifact("samples", files.record)
        _refuse_unless_finite(samples["mean_logprob"])
        return {"seconds": seconds, "tokens_per_second": samples["n_tokens"].sum() / seconds, "checked": "log p finite"}

    def _files(self, work: Path, shared: dict, problems: list[Problem], name: str) -> RunFiles:
        """Where a stage reads and writes."""
        work.mkdir(parents=True, exist_ok=True)
        path = work / f"{name}.problems.parquet"
        write_artifact(pd.DataFrame([dataclasses.asdict(problem) for problem in problems]), "problems", path)
        return RunFiles(
            base=str(shared["base"]),
            start=str(shared["start"]),
            problems=str(path),
            model=str(work / name),
            record=str(work / f"{name}.parquet"),
            checkpoints=str(work / "checkpoints"),
            run=f"{work.name}/{name}/seed1",
            code="preflight",
        )

    @property
    def threads(self) -> int:
        return self.plan.preset["resources"]["train"]["threads"]

    def problems(self, recipe: str, n: int, max_length: int | None) -> list[Problem]:
        """Problems of a recipe's task: of a table as long as they may be, in prompt and, with the prompt, in target."""
        method = self.plan.recipe(recipe)
        data = self.plan.preset["data"][method["task"]]
        if data["loader"] != "table":
            return load_task(read_task(data))[0]["train"][:n]
        tokenizer = load_tokenizer(self.bases[method["model"]])
        prompt = _longest(lambda text: len(encode_prompt(tokenizer, text)) <= method["longest_prompt"])
        target = "1"
        if max_length is not None:
            target = _longest(
                lambda text: len(encode_example(tokenizer, "", prompt, text, 10**6)["input_ids"]) <= max_length
            )
        return [Problem(f"preflight/{i}", prompt, target, target, "none", method["levels"][0]) for i in range(n)]


def _longest(fits: Callable[[str], bool]) -> str:
    """The longest text of ones that fits."""
    fewest, most = 1, 2
    while fits("1 " * most + "1"):
        fewest, most = most, 2 * most
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if fits("1 " * middle + "1") else (fewest, middle)
    return "1 " * fewest + "1"


def variety(prompts, completions, **columns) -> list[float]:
    """A reward that completions of random weights differ in, so that there is something to learn."""
    texts = [turn if isinstance(turn, str) else turn[-1]["content"] for turn in completions]
    return [len(set(text)) / 100 for text in texts]


def loss_scale(checkpoints: Path) -> str:
    """How the loss was scaled in a training that has ended, by its last checkpoint: ``none``, or from which scale to
    which, and the share of its steps that were skipped for it (an overflow halves the scale)."""
    last = last_whole_checkpoint(checkpoints)
    if last is None or not (last / "scaler.pt").is_file():
        return "none"
    scaler = torch.load(last / "scaler.pt", weights_only=True)
    steps = int(last.name.rpartition("-")[2])
    # The schedule of the learning rate counts the steps that were taken.
    skipped = steps - torch.load(last / "scheduler.pt", weights_only=True)["last_epoch"]
    first = scaler["scale"] / scaler["backoff_factor"] ** skipped  # too few steps for it to grow
    return f"{first:g} to {scaler['scale']:g}, {skipped / steps:.0%} of {steps} steps skipped"


def _refuse_unless_finite(values: pd.Series) -> None:
    if not all(map(pd.api.types.is_number, values)) or not torch.isfinite(torch.tensor(values.to_numpy())).all():
        raise ValueError(f"{values.name} is not finite in {int(values.isna().sum())} of {len(values)} rows")


def _refuse_unless_read_back(base: Path, folder: Path, settings: LoadedModel) -> None:
    """Refuse a model that is not, when it is read, what was written."""
    name = "adapter_model" if (folder / "adapter_config.json").is_file() else "model"
    written = load_file(folder / f"{name}.safetensors")
    model = load_model(base, folder, settings.precision, settings.quantization, trainable=False)
    read = {key.replace(".default.", "."): weight for key, weight in model.named_parameters()}
    both = read.keys() & written.keys()
    if not both or not all(torch.equal(read[key].cpu(), written[key].to(read[key].dtype)) for key in both):
        raise ValueError(f"the weights in {folder} are not read as they were written")


def line(row: dict) -> str:
    """A row as text."""
    numbers = {
        "seconds": "{:8.2f} s",
        "tokens_per_second": "{:9.0f} tokens/s",
        "peak_gib": "{:6.2f} GiB",
        "estimated_gib": "(estimated {:.2f})",
        "loss_scale": "loss scale {}",
    }
    told = " ".join(text.format(row[key]) for key, text in numbers.items() if row[key] is not None)
    end = f"FAILED: {row['fault']}" if row["fault"] else row["checked"]
    return f"{row['recipe']:24} {row['stage']:10} {told}  {end}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned preflight", description=__doc__.splitlines()[0])
    parser.add_argument("presets", type=Path, nargs="+", help="a preset, such as config/paper.yaml")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=JSON", help="values laid over the preset's")
    parser.add_argument(
        "--random-weights", action="store_true", help="fetch nothing: random weights, a token a character"
    )
    parser.add_argument("--recipes", nargs="+", help="these alone")
    parser.add_argument("--csv", type=Path, help="where the table goes (default: preflight.csv of the results folder)")
    arguments = parser.parse_args()
    settings = settings_of(arguments.presets, arguments.config)
    layout = Layout(f"results/{settings['preset']['preset']}")
    plan = Plan(settings, layout)
    recipes = arguments.recipes or list(plan.objectives)
    if unknown := [recipe for recipe in recipes if recipe not in plan.objectives]:
        raise ValueError(
            f"no recipe {unknown[0]} in {settings['preset']['preset']}; wanted {', '.join(plan.objectives)}"
        )
    target = arguments.csv or Path(layout.root) / MEASURED
    with tempfile.TemporaryDirectory(prefix="preflight-") as temporary:
        folder = Path(temporary)
        bases = {}
        for name in {plan.recipe(recipe)["model"] for recipe in recipes}:
            model = settings["preset"]["models"][name]
            bases[name] = folder / f"base-{name}" if arguments.random_weights else Path(layout.base_model(name))
            if arguments.random_weights:
                random_base_model(model["source"], model["precision"], bases[name])
            elif not bases[name].exists():
                raise ValueError(
                    f"{bases[name]}: no such model; make it by `snakemake --cores 1 {bases[name]}`, "
                    "or give --random-weights"
                )
        rows = Preflight(plan, bases, folder).rows(recipes, lambda row: print(line(row), flush=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    faults = [row for row in rows if row["fault"]]
    print(f"{len(rows) - len(faults)} of {len(rows)} stages went well on {rows[0]['device']}; the table is in {target}")
    return int(bool(faults))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"preflight: {error}")
