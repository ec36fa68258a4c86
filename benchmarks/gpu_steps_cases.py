"""One case of gpu_steps.py, which starts this with a JSON object of what to do: a row for each measurement."""

import gc
import json
import subprocess
import sys
import tempfile
import time
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterable
from pathlib import Path

import bitsandbytes
import peft
import torch
import transformers
import trl
from datasets import Dataset
from stand_ins import make_protgpt2, math_rows, mistral_tokenizer
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
    TrainerCallback,
)
from transformers.trainer_utils import SaveStrategy

from compute_aligned.advantages import AdvantageSettings, rl_objective
from compute_aligned.config.files import read_yaml
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import WARMUP, rl_settings, sampling_settings, training_settings
from compute_aligned.models.adapter import Adapter
from compute_aligned.models.loading import add_adapter, check_precision, load_model, load_tokenizer
from compute_aligned.models.making import PLAIN_CHAT_TEMPLATE
from compute_aligned.models.sources import read_source
from compute_aligned.models.tokenization import encode_example, encode_prompt
from compute_aligned.objectives import sft_objective
from compute_aligned.planning import memory
from compute_aligned.planning.preflight import variety
from compute_aligned.sampling.transformers_backend import transformers_sampler
from compute_aligned.tasks import Problem, protein
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import PROMPT, read_task
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset
from compute_aligned.training.grpo_run import ADVANTAGE_FIELDS
from compute_aligned.training.sft import ComputeAlignedSFTTrainer, trainer_arguments
from compute_aligned.training.sft_run import encode_problems

PRESET = Path(__file__).parents[1] / "config" / "paper.yaml"
GIB = memory.GIB
# What the estimates do not need to know of the originals' config.json.
NOT_COUNTED = {
    "math": {"max_position_embeddings": 32768},
    "protein": {},
}
TINY = {
    "math": {
        "vocab_size": 3000,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "protein": {"vocab_size": 3000, "n_embd": 64, "n_layer": 2, "n_head": 4},
}
# Model -> recipe of its cases, and of the protein model's reinforcement learning and sampling.
MATH_SFT, MATH_RL, WARM, UNCONDITIONAL = (
    "math_sft_pass",
    "math_rl_pass",
    "protein_conditional",
    "protein_unconditional",
)
RANDOM = "random weights hardly ever end: completions are full length, and their nucleus is wide"
Say = Callable[[dict], None]


class Bench:
    """The preset, on this device, and its stand-ins for the base models."""

    def __init__(self, options: dict):
        self.cuda = torch.cuda.is_available()
        self.tiny, self.scratch = options["tiny"], Path(options["scratch"])
        self.max_new_tokens = options["max_new_tokens"]
        self.settings = load_settings(read_yaml(PRESET), str(PRESET), PRESET.parent)
        self.models = self.settings["preset"]["models"]
        precision = options["precision"] or self.models["math"]["precision"]
        if precision == "fp16" and not self.cuda:
            precision = "bf16"  # a CPU trains in no fp16
        self.models["math"]["precision"] = precision
        for name, model in self.models.items():
            sizes = memory.KNOWN[read_source(model["source"]).id]
            sizes |= NOT_COUNTED[name] | (TINY[name] if self.tiny else {})
            check_precision(model["precision"])

    def config(self, name: str):
        return memory.model_config(read_source(self.models[name]["source"]))

    def adapter(self, recipe: str) -> Adapter | None:
        method = self.settings["recipes"][recipe]
        return Adapter(**method["adapter"]) if self.models[method["model"]]["adapter"] else None

    def base(self, name: str) -> Path:
        """The folder of a stand-in, made if it is not there yet."""
        folder = self.scratch / ("tiny" if self.tiny else "true") / name
        if (folder / "generation_config.json").is_file():  # the last file that is written
            return folder
        config = self.config(name)
        if name == "math":
            tokenizer = filled_up(mistral_tokenizer(), config.vocab_size)
        else:
            with tempfile.TemporaryDirectory() as small:
                make_protgpt2(Path(small))
                tokenizer = filled_up(AutoTokenizer.from_pretrained(small), config.vocab_size)
            tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
        config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        torch.manual_seed(1)
        # On the device: 7 billion random numbers take a CPU minutes. In the types that the originals lie in.
        with torch.device("cuda" if self.cuda else "cpu"):
            dtype = torch.bfloat16 if name == "math" else torch.float32
            model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        model.save_pretrained(folder, max_shard_size="4GB")
        tokenizer.save_pretrained(folder)
        del model
        self.clean()
        # The model's own sampling settings are left out, as in models.making.
        GenerationConfig(eos_token_id=[tokenizer.eos_token_id]).save_pretrained(folder)
        return folder

    def load(self, name: str, trainable: bool):
        base, model = self.base(name), self.models[name]
        self.clean()
        return load_model(base, base, model["precision"], model["quantization"], trainable)

    # --- the device --------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds, once all kernels have ended."""
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def clean(self) -> None:
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def restart_peaks(self) -> None:
        """In the midst of a step: what the allocator has in reserve stays there, as it does without being watched."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def held(self) -> float | None:
        return torch.cuda.memory_allocated() / GIB if self.cuda else None

    def peaks(self) -> tuple[float, float] | None:
        """GiB that torch's allocator handed out and took from the device, at most, since the last ``clean``."""
        if not self.cuda:
            return None
        return torch.cuda.max_memory_allocated() / GIB, torch.cuda.max_memory_reserved() / GIB

    def describe(self) -> dict:
        row = {"case": "device", "name": "CPU", "torch": torch.__version__}
        if self.cuda:
            row["name"] = torch.cuda.get_device_name()
            row["capability"] = "{}.{}".format(*torch.cuda.get_device_capability())
            row["GiB"] = torch.cuda.get_device_properties(0).total_memory / GIB
            row |= {"cuda": torch.version.cuda, "driver": driver()}
        row |= {module.__name__: module.__version__ for module in (transformers, trl, peft, bitsandbytes)}
        return row | {"python": sys.version.split()[0], "math in": self.models["math"]["precision"]}


def driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.split("\n")[0] or None
    except (OSError, subprocess.SubprocessError):
        return None


def filled_up(tokenizer: PreTrainedTokenizerFast, size: int) -> PreTrainedTokenizerFast:
    """The same with tokens that no text is encoded as, so that each id of the model is one of the tokenizer's."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"w{i}": i for i in range(len(vocabulary), size)}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        unk_token=tokenizer.unk_token,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = tokenizer.chat_template
    if len(fast) != size:
        raise ValueError(f"the stand-in's tokenizer has {len(fast)} tokens, wanted {size}")
    return fast


def text_that_fits(n_tokens: int, count: Callable[[str], int], seed: int) -> str:
    """The longest beginning of some problems that is encoded as so many tokens at most."""
    text = " ".join(PROMPT.format(**row) for row in math_rows(n_tokens, seed))
    return text[: bisect_right(range(len(text)), n_tokens, key=lambda n: count(text[:n])) - 1]


# --- estimates -------------------------------------------------------------------------------------------------------


def sizes(phases: memory.Phases, *, sampling: bool | None = None) -> float:
    """GiB at the peak of all phases of an estimate, of those that sample, or of the others; no tolerance added."""
    chosen = (
        sum(groups.values())
        for name, groups in phases.items()
        if sampling is None or name.startswith("sampling") == sampling
    )
    return max(chosen) / GIB


def against(peak: float | None, estimated: float, name: str = "peak") -> dict:
    ratio = None if peak is None else peak / estimated
    return {f"{name} GiB": peak, "estimated": estimated, "ratio": ratio}


# --- training --------------------------------------------------------------------------------------------------------


class Clock(TrainerCallback):
    """Seconds of each step of a trainer, from the end of the one before, and what its loss was scaled with."""

    def __init__(self, bench: Bench, trainer):
        self.bench, self.scaler = bench, lambda: trainer.accelerator.scaler
        self.seconds: list[float] = []
        self.scales: list[float] = []

    def on_train_begin(self, *args, **kwargs):
        self.bench.clean()
        self.last = self.bench.now()

    def on_step_end(self, *args, **kwargs):
        now = self.bench.now()
        self.seconds.append(now - self.last)
        self.last = now
        if self.scaler() is not None:
            self.scales.append(self.scaler().get_scale())


def train(bench: Bench, trainer, warm_up: int) -> tuple[Clock, dict]:
    """Train to the end; the first steps are not timed."""
    clock = Clock(bench, trainer)
    trainer.add_callback(clock)
    trainer.train()
    norms = [float(row["grad_norm"]) for row in trainer.state.log_history if "grad_norm" in row]
    timed = clock.seconds[warm_up:]
    row = {"s/step": sum(timed) / len(timed), "steps": [round(seconds, 3) for seconds in clock.seconds]}
    taken = trainer.lr_scheduler.state_dict()["last_epoch"]  # the schedule stands still where a step was skipped
    healthy = {"grad_norm": norms, "skipped": f"{len(clock.seconds) - taken} of {len(clock.seconds)}"}
    if clock.scales:
        healthy["loss_scale"] = clock.scales
    return clock, row | healthy


def not_saved(arguments):
    """TRL's settings without checkpoints and progress bars."""
    arguments.save_strategy, arguments.disable_tqdm = SaveStrategy.NO, True
    return arguments


def forget(trainer, model) -> None:
    """Take back what a trainer did to a model that another one will train: accelerate's way to call it."""
    trainer.accelerator.free_memory()
    vars(model).pop("forward", None)


def sft_step(bench: Bench, settings, model, tokenizer, dataset: Dataset, warm_up: int) -> dict:
    """Figures of supervised steps."""
    trainer = ComputeAlignedSFTTrainer(
        model=model,
        args=not_saved(trainer_arguments(settings, bench.scratch / "work")),
        train_dataset=dataset,
        processing_class=tokenizer,
        objective=sft_objective(settings.objective),
        average=settings.average,
    )
    _, row = train(bench, trainer, warm_up)
    peaks = bench.peaks()
    lengths = [len(ids) for ids in dataset["input_ids"]]
    row["tokens/s"] = settings.batch_size * sum(lengths) / len(lengths) / row["s/step"]
    forget(trainer, model)
    return row | ({} if peaks is None else {"peak GiB": peaks[0], "reserved GiB": peaks[1]})


def sft(bench: Bench, say: Say) -> None:
    """Supervised steps of the 7B model: 1,024 tokens of which nearly all are supervised, and a typical length."""
    base = bench.base("math")
    tokenizer = load_tokenizer(base)
    start = bench.now()
    model = add_adapter(bench.load("math", trainable=True), bench.adapter(MATH_SFT), 1)
    seconds = bench.now() - start
    attention = model.config._attn_implementation
    warm_up, timed = (1, 1) if bench.tiny else (2, 6)
    for objective, length in (("ce", 1024), ("pass_n16", 1024), ("ce", 350)):
        settings = training_settings(bench.settings, MATH_SFT, objective, 1)
        settings |= {"epochs": 1, "checkpoint_steps": 1, "max_length": length}
        n = settings.batch_size * (warm_up + timed)
        texts = [text_that_fits(n_tokens, lambda text: len(tokenizer(text)["input_ids"]), 1) for n_tokens in (60, 1100)]
        examples = [encode_example(tokenizer, str(i), f"{texts[0]} {i}", texts[1], length) for i in range(n)]
        if {len(example["input_ids"]) for example in examples} != {length}:
            raise ValueError(f"an example has not {length} tokens")
        dataset = Dataset.from_list([example | {"example": i} for i, example in enumerate(examples)])
        row = sft_step(bench, settings, model, tokenizer, dataset, warm_up)
        estimated = sizes(memory.sft_memory(bench.config("math"), settings))
        row |= against(row.get("peak GiB"), estimated)
        what = f"{objective}, {settings.batch_size} x {length} tokens"
        say({"case": "sft", "what": what} | row | {"attention": attention, "load s": seconds})
        bench.clean()


def protgpt2_warmup(bench: Bench, say: Say) -> None:
    tokenizer = load_tokenizer(bench.base("protein"))
    settings = training_settings(bench.settings, WARM, WARMUP, 1) | {"epochs": 1, "checkpoint_steps": 1}
    warm_up, timed = 1, 1 if bench.tiny else 4
    problems = load_task(read_task(bench.settings["preset"]["data"][WARM]))[0]["train"]
    dataset = encode_problems(problems[: settings.batch_size * (warm_up + timed)], tokenizer, settings)
    row = sft_step(bench, settings, bench.load("protein", trainable=True), tokenizer, dataset, warm_up)
    longest = max(len(ids) for ids in dataset["input_ids"])
    estimated = sizes(memory.sft_memory(bench.config("protein"), settings | {"max_length": longest}))
    what = f"{settings.objective}, {settings.batch_size} sequences of at most {longest} tokens"
    say({"case": "protgpt2_warmup", "what": what} | row | against(row.get("peak GiB"), estimated))


def rl_step(bench: Bench, say: Say, case: str, recipe: str, objective: str, problems: list[Problem]) -> None:
    """Figures of steps of reinforcement learning, sampling and training apart."""
    name = bench.settings["recipes"][recipe]["model"]
    tokenizer = load_tokenizer(bench.base(name))
    longest = max(len(encode_prompt(tokenizer, problem.prompt)) for problem in problems)
    warm_up = 1
    settings = rl_settings(bench.settings, recipe, objective, 1) | {"adapter": bench.adapter(recipe)}
    settings |= {"steps": 2, "max_new_tokens": 16} if bench.tiny else {"steps": warm_up + 2}
    start = bench.now()
    model = bench.load(name, trainable=True)
    if settings.adapter is not None:
        model = add_adapter(model, settings.adapter, settings.seed)
    seconds = bench.now() - start
    trainer = ComputeAlignedGRPOTrainer(
        model=model,
        reward_funcs=variety,
        args=not_saved(grpo_arguments(settings, bench.scratch / "work")),
        train_dataset=prompts_dataset(problems),
        processing_class=tokenizer,
        objective=rl_objective(settings.objective),
        advantage_settings=AdvantageSettings(**{name: getattr(settings, name) for name in ADVANTAGE_FIELDS}),
        loss=settings.loss,
    )
    sampled, peaks = [], {"sampling": [], "training": []}
    draw = trainer._generate_single_turn

    def drawn(*args, **kwargs):
        start = bench.now()
        peaks["training"].append(bench.peaks())  # of the step before, or of nothing
        bench.restart_peaks()
        result = draw(*args, **kwargs)
        sampled.append(bench.now() - start)
        peaks["sampling"].append(bench.peaks())
        bench.restart_peaks()
        return result

    trainer._generate_single_turn = drawn
    _, row = train(bench, trainer, warm_up)
    peaks["training"].append(bench.peaks())
    row |= {"sampling s": sum(sampled[warm_up:]) / len(sampled[warm_up:])}
    row |= {"training s": row["s/step"] - row["sampling s"]}
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    row["kl"], row["completion tokens"] = float(last["kl"]), float(last["completions/mean_length"])
    rows = settings.prompts_per_step * settings.group_size
    row["sampled tokens/s"] = rows * row["completion tokens"] / row["sampling s"]
    phases = memory.grpo_memory(bench.config(name), settings | {"longest_prompt": longest})
    what = f"{objective}, {settings.prompts_per_step} x {settings.group_size} completions of {settings.max_new_tokens}"
    say({"case": case, "what": f"{what}, prompts of {longest}"} | row | {"load s": seconds, "note": RANDOM})
    for part, found in peaks.items():
        seen = found[part == "training" :]
        highest = [max(column) for column in zip(*seen, strict=True)] if bench.cuda else [None, None]
        estimated = sizes(phases, sampling=part == "sampling")
        say({"case": case, "what": part} | against(highest[0], estimated) | {"reserved GiB": highest[1]})


def grpo(bench: Bench, say: Say) -> None:
    tokenizer = load_tokenizer(bench.base("math"))
    longest = bench.settings["recipes"][MATH_RL]["longest_prompt"]
    texts = [text_that_fits(longest, lambda text: len(encode_prompt(tokenizer, text)), seed) for seed in range(4)]
    problems = [Problem(f"p/{i}", text, "1", "1", "none", 1) for i, text in enumerate(texts)]
    rl_step(bench, say, "grpo", MATH_RL, "pass_n16_log", problems)


def protgpt2_rl(bench: Bench, say: Say) -> None:
    problems = [protein.unconditional_problem()] * 4
    rl_step(bench, say, "protgpt2_rl", UNCONDITIONAL, "best_of_n4", problems)


# --- loading and sampling --------------------------------------------------------------------------------------------


def load(bench: Bench, say: Say) -> None:
    start = bench.now()
    base = bench.base("math")
    made = bench.now() - start
    start = bench.now()
    model = bench.load("math", trainable=True)
    row = {"s": bench.now() - start, "base made in s": made}
    row["bytes on disk"] = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    settings, adapter = sampling_settings(bench.settings, MATH_SFT, 1), bench.adapter(MATH_SFT)
    config = bench.config("math")
    with_adapter = memory.sampling_memory(config, settings, adapter, 1)["sampling, prompts"]["weights"]
    weights = with_adapter - 4 * memory.Architecture.of(config).adapter(adapter)
    row |= against(bench.held(), weights / GIB, "held")
    peaks = bench.peaks()
    row |= {} if peaks is None else {"peak GiB": peaks[0], "reserved GiB": peaks[1]}
    kinds = {f"{type(module).__name__}" for module in model.modules() if "Linear" in type(module).__name__}
    say({"case": "load", "what": "NF4, double quantisation"} | row | {"linear": " ".join(sorted(kinds))})


def drawn(bench: Bench, say: Say, case: str, recipe: str, prompt: str, changes: Iterable[dict]) -> None:
    """Figures of the sampler: one prompt, all rows its samples."""
    name = bench.settings["recipes"][recipe]["model"]
    tokenizer = load_tokenizer(bench.base(name))
    model, adapter = bench.load(name, trainable=False), bench.adapter(recipe)
    if adapter is not None:
        model = add_adapter(model, adapter, 1)
    model.eval()
    ids = encode_prompt(tokenizer, prompt)
    for change in changes:
        settings = sampling_settings(bench.settings, recipe, 1) | change
        short = transformers_sampler(model, tokenizer, 1, settings | {"max_new_tokens": 4})
        list(short(["warm-up"], [ids]))
        bench.clean()
        start = bench.now()
        ((_, pool),) = transformers_sampler(model, tokenizer, 1, settings)(["measured"], [ids])
        seconds = bench.now() - start
        lengths = [len(completion.tokens) for completion in pool]
        row = {"tokens/s": sum(lengths) / seconds, "ms/token of a row": 1000 * seconds / max(lengths), "s": seconds}
        row["mean log p"] = sum(completion.mean_logprob for completion in pool) / len(pool)
        peaks = bench.peaks() or (None, None)
        phases = memory.sampling_memory(bench.config(name), settings, adapter, len(ids))
        row |= against(peaks[0], sizes(phases)) | {"reserved GiB": peaks[1], "note": RANDOM}
        what = f"{settings.rows_per_batch} rows, prompt of {len(ids)}, {max(lengths)} new tokens"
        say({"case": case, "what": what} | row)


def sample(bench: Bench, say: Say) -> None:
    tokenizer = load_tokenizer(bench.base("math"))
    prompt = text_that_fits(200, lambda text: len(encode_prompt(tokenizer, text)), 1)
    new = min(bench.max_new_tokens, 16) if bench.tiny else bench.max_new_tokens
    changes = ({"rows_per_batch": n, "n_samples": n, "max_new_tokens": new} for n in (32, 128))
    drawn(bench, say, "sample", MATH_SFT, prompt, changes)


def protgpt2_sample(bench: Bench, say: Say) -> None:
    rows = sampling_settings(bench.settings, UNCONDITIONAL, 1).rows_per_batch
    prompt = protein.unconditional_problem().prompt
    drawn(bench, say, "protgpt2_sample", UNCONDITIONAL, prompt, [{"n_samples": rows}])


def main() -> None:
    options = json.loads(sys.argv[1])
    if not sys.stdin.readline():  # its turn has come, or never will
        return

    def say(row: dict) -> None:
        with open(options["rows"], "a") as file:
            file.write(json.dumps(row) + "\n")

    cases = {f.__name__: f for f in (load, sft, grpo, sample, protgpt2_warmup, protgpt2_rl, protgpt2_sample)}
    try:
        bench = Bench(options)
        say(bench.describe())
        cases[options["case"]](bench, say)
    except Exception as error:
        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})
        sys.exit(1)


if __name__ == "__main__":
    main()
