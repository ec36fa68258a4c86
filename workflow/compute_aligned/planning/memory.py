"""GPU memory of training and sampling, estimated from the largest tensors: ``python -m compute_aligned memory FILE``.

Two ways of training are known, the two of the presets that need a GPU: an adapter on a 4-bit base, which computes in
half precision, and all weights in float32. What is counted is what torch's allocator holds; tests/unit/test_memory.py
holds the estimates against measured peaks of both ways on a CPU. What comes on top on a GPU is in ``RESERVED``.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transformers import AutoConfig, PreTrainedConfig

from ..config.files import read_yaml
from ..config.loading import load_settings
from ..config.resolving import WARMUP, recipes_and_objectives, rl_settings, sampling_settings, training_settings
from ..config.settings.common import LoadedModel, SamplingSettings, TrainedRun
from ..config.settings.evaluation import EvaluationSettings
from ..config.settings.rl import RLSettings
from ..config.settings.training import TrainingSettings
from ..models.adapter import Adapter
from ..models.making import local_copy
from ..models.sources import Folder, Gguf, Hub, Source, read_source
from ..tasks import Problem
from ..tasks.loading import load_task
from ..tasks.reasoning_gym import first_problems
from ..tasks.sources import ReasoningGym, Table, Task, read_task

GIB = 2**30
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
# A V100 of 16 GB shows 15.78 GiB to torch; the CUDA context, cuBLAS workspaces and loose ends take their part of it.
DEVICE, RESERVED = 15.78 * GIB, 0.75 * GIB
# Share by which activations and logits may be estimated too small: the tests' tolerance.
TOLERANCE = 0.25

# Architectures of models on the hub, so that no network is needed. Source: their config.json.
KNOWN = {
    "mistralai/Mistral-7B-Instruct-v0.2": {
        "model_type": "mistral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
        "rope_theta": 1e6,
        "sliding_window": None,  # v0.1 had one, which is transformers' default
    },
    "HuggingFaceTB/SmolLM2-360M-Instruct": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-0.5B-Instruct": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "nferruz/ProtGPT2": {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_embd": 1280,
        "n_layer": 36,
        "n_head": 20,
        "n_positions": 1024,
    },
}

# A phase of a step, such as "backward", -> the bytes of each group of tensors that it holds at its peak.
Phases = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Architecture:
    """The sizes that tensors have.

    Attributes:
        layers: number of blocks.
        width: of the residual stream.
        heads: number of query heads.
        attention: width of all query heads together.
        keys: width of all key heads together; as wide as that of the values.
        inner: width of the feed-forward layer.
        vocabulary: number of tokens.
        linear: name of each matrix of a block -> (inputs, outputs).
        other: number of weights outside these matrices: embeddings, norms, biases and the head.
        gated: whether the feed-forward layer is gated (Llama, Mistral), or a plain one with tanh-GELU (GPT-2).
        tied: whether the head's weights are the embedding's.
    """

    layers: int
    width: int
    heads: int
    attention: int
    keys: int
    inner: int
    vocabulary: int
    linear: dict[str, tuple[int, int]]
    other: int
    gated: bool
    tied: bool

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "Architecture":
        """The sizes of a transformers configuration.

        Raises:
            ValueError: an architecture whose tensors are not known here.
        """
        layers, h, heads, v = (
            getattr(config, name) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
        )
        if config.model_type == "gpt2":
            f = config.n_inner or 4 * h
            linear = {"c_attn": (h, 3 * h), "attention c_proj": (h, h), "c_fc": (h, f), "c_proj": (f, h)}
            biases_and_norms = sum(outputs for _, outputs in linear.values()) + 4 * h
            other = (v + config.n_positions) * h + layers * biases_and_norms + 2 * h
            return cls(layers, h, heads, h, h, f, v, linear, other, gated=False, tied=True)
        if config.model_type not in ("llama", "mistral", "qwen2"):
            raise ValueError(
                f"no memory estimate for models of type {config.model_type}; wanted gpt2, llama, mistral or qwen2"
            )
        f = config.intermediate_size
        head = getattr(config, "head_dim", None) or h // heads
        a, kv = heads * head, config.num_key_value_heads * head
        linear = {
            **{"q_proj": (h, a), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (a, h)},
            **{"gate_proj": (h, f), "up_proj": (h, f), "down_proj": (f, h)},
        }
        other = v * h * (1 if config.tie_word_embeddings else 2) + (2 * layers + 1) * h
        if config.model_type == "qwen2":
            other += layers * (a + 2 * kv)  # biases of queries, keys and values
        return cls(layers, h, heads, a, kv, f, v, linear, other, gated=True, tied=config.tie_word_embeddings)

    @property
    def matrices(self) -> int:
        """Number of weights of all blocks' matrices."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear.values())

    def adapter(self, adapter: Adapter) -> int:
        """Number of weights of a LoRA adapter."""
        return self.layers * adapter.r * sum(sum(self.linear[name]) for name in adapter.target_modules)


def sft_memory(config: PreTrainedConfig, settings: TrainingSettings) -> Phases:
    """Memory of a step of supervised fine-tuning whose examples are as long as they may be.

    Args:
        config: of the base model.
        settings: of the run.
    """
    sizes = Architecture.of(config)
    tokens = settings.micro_batch_size * settings.max_length
    held = _held(sizes, settings, n_references=0)
    # The logits in float32, their gradient, that in the model's type, and the part of one row at a time.
    per_logit = 8 + BYTES[settings.precision] % 4 + 4 / settings.micro_batch_size
    logits = tokens * sizes.vocabulary * per_logit
    phases = _training(sizes, settings, tokens, held, logits)
    if settings.success_rate is not None:
        phases |= _sampling(sizes, settings.precision, settings.success_rate, settings.max_length, held)
    return phases


def grpo_memory(config: PreTrainedConfig, settings: RLSettings) -> Phases:
    """Memory of a step of reinforcement learning whose prompts and completions are as long as they may be.

    Args:
        config: of the base model.
        settings: of the run, with the adapter that is trained under ``adapter``.
    """
    sizes, c = Architecture.of(config), BYTES[settings.precision]
    length = settings.longest_prompt + settings.max_new_tokens
    tokens = settings.micro_batch_size * length
    rows = settings.prompts_per_step * settings.group_size
    held = _held(sizes, settings, n_references=int(settings.beta > 0))
    # TRL's head takes 4,096 tokens and 32,768 words at once: a buffer in the model's type, and tiles in float32.
    buffer = min(tokens, 4096) * 32768 * c
    tile = min(tokens, 4096) * min(sizes.vocabulary, 32768) * 4
    head = buffer + 5 * tile + tokens * sizes.width * 8
    if settings.adapter is None:
        head += 4 * sizes.vocabulary * sizes.width  # the gradient of the head's weights, before it is added to the rest
    drawing = {name: getattr(settings, name) for name in ("temperature", "top_p", "top_k", "max_new_tokens")}
    drawn = SamplingSettings(n_samples=settings.group_size, rows_per_batch=rows, **drawing)
    return {
        **_sampling(sizes, settings.precision, drawn, settings.longest_prompt, held),
        "scoring": held | {"activations": _forward(sizes, tokens, c), "logits": buffer + 3 * tile},
        **_training(sizes, settings, tokens, held, head),
    }


def sampling_memory(
    config: PreTrainedConfig, settings: EvaluationSettings, adapter: Adapter | None, longest_prompt: int
) -> Phases:
    """Memory of sampling evaluation pools.

    Args:
        config: of the base model.
        settings: of the run.
        adapter: that is served on the base model, or None.
        longest_prompt: in tokens.
    """
    sizes = Architecture.of(config)
    held = {"weights": _weights(sizes, settings, adapter)}
    return _sampling(sizes, settings.precision, settings, longest_prompt, held)


def needed(phases: Phases) -> float:
    """Bytes that should be free: what is held throughout, and the rest with the tolerance of the estimate."""
    exact = ("weights", "reference", "gradients", "optimiser", "keys and values")
    return max(
        sum(size * (1 if group in exact else 1 + TOLERANCE) for group, size in groups.items())
        for groups in phases.values()
    )


# --- parts -----------------------------------------------------------------------------------------------------------


def _weights(sizes: Architecture, model: LoadedModel, adapter: Adapter | None, trainable: bool = False) -> float:
    c = BYTES[model.precision]
    in_single = 0 if adapter is None else 4 * sizes.adapter(adapter)
    if model.quantization is None and trainable and c < 4:
        # Matrices are kept as autocast multiplies them, the head's apart from the embedding's; the rest in float32.
        head = sizes.vocabulary * sizes.width
        return c * (sizes.matrices + head) + 4 * (sizes.other - (0 if sizes.tied else head)) + in_single
    if model.quantization is None:
        return c * (sizes.matrices + sizes.other) + in_single
    # NF4: half a byte each, a byte for the scale of 64 weights, four for the scale of 256 scales; then code tables.
    four_bits = sizes.matrices * (1 / 2 + 1 / 64 + 4 / (64 * 256)) + sizes.layers * len(sizes.linear) * 1092
    return four_bits + c * sizes.other + in_single


def _trained(sizes: Architecture, adapter: Adapter | None) -> int:
    return sizes.matrices + sizes.other if adapter is None else sizes.adapter(adapter)


def _held(sizes: Architecture, settings: TrainedRun, n_references: int) -> dict[str, float]:
    """What is held from step to step: weights, AdamW's two moments, and a copy of what is trained for the KL term.

    Raises:
        ValueError: a way of training that is not known here.
    """
    if settings.adapter is None and (settings.quantization is not None or settings.precision != "fp32"):
        raise ValueError("no memory estimate but for an adapter, or for all weights in fp32")
    trained = _trained(sizes, settings.adapter)
    return {
        "weights": _weights(sizes, settings, settings.adapter, trainable=True),
        "optimiser": 8 * trained,
        "reference": 4 * trained * n_references,
    }


def _training(sizes: Architecture, settings: TrainedRun, tokens: int, held: dict, head: float) -> Phases:
    """The backward pass, at its head or in a block, and the optimiser's step."""
    c, trained = BYTES[settings.precision], _trained(sizes, settings.adapter)
    held = held | {"gradients": 4 * trained}
    block = tokens * _saved_by_block(sizes, settings)
    inputs = tokens * c * sizes.width * sizes.layers
    saved = inputs if settings.gradient_checkpointing else block * sizes.layers
    norm = 4 * tokens * sizes.width
    # In a block's backward pass the gradients of its widest tensors, and the matrix that they pass through.
    on_the_way = 2 * tokens * c * sizes.inner + _dequantised(sizes, settings)
    in_block = (block if settings.gradient_checkpointing else 0) + on_the_way
    phases = {
        "backward, head": held | {"activations": saved + norm, "logits": head},
        "backward, block": held | {"activations": saved + norm + in_block},
        "optimiser's step": held,
    }
    if settings.precision == "fp16":
        # The plain AdamW (models.adamw) holds the denominators of all weights at once.
        phases["optimiser's step"] = held | {"denominators": 4 * trained}
    return phases


def _saved_by_block(sizes: Architecture, settings: TrainedRun) -> float:
    """Bytes per token that a block saves for its backward pass, attention fused."""
    c, h, a, f = BYTES[settings.precision], sizes.width, sizes.attention, sizes.inner
    if not sizes.gated:
        # Inputs of both norms; their outputs; queries, keys, values; attention's output twice; tanh-GELU's four
        # factors and its product.
        return c * (2 * h + 2 * h + 3 * h + 2 * h + 5 * f) + 4 * sizes.heads
    names = set(settings.adapter.target_modules) if settings.adapter is not None else set(sizes.linear)
    saved = 8 * h  # both norms' inputs in float32
    # Queries, keys and values (repeated for the query heads) and attention's output.
    saved += c * 4 * a + 4 * sizes.heads
    saved += c * 3 * f  # gate, its activation, and what they multiply
    saved += c * h * bool(names & {"q_proj", "k_proj", "v_proj"}) + c * a * ("o_proj" in names)
    saved += c * h * bool(names & {"gate_proj", "up_proj"}) + c * f * ("down_proj" in names)
    if settings.adapter is not None:
        return saved + c * settings.adapter.r * len(names)
    return saved + 2 * c * h  # the norms' outputs before their weights


def _dequantised(sizes: Architecture, settings: LoadedModel) -> float:
    """The largest matrix in the type that it is multiplied in, with its scales in float32."""
    if settings.quantization is None:
        return 0
    largest = max(inputs * outputs for inputs, outputs in sizes.linear.values())
    return largest * (BYTES[settings.precision] + 2 * 4 / 64)


def _forward(sizes: Architecture, tokens: int, c: int) -> float:
    """Activations of a pass without gradients: the residual stream and the widest place of one block."""
    return tokens * (c * (2 * sizes.width + 3 * sizes.inner) + 8 * sizes.width)


def _cache(sizes: Architecture, tokens: int, c: int) -> float:
    """Keys and values of all layers, and of one layer again while it grows."""
    return tokens * 2 * sizes.keys * c * (sizes.layers + 1)


def _sampling(sizes: Architecture, precision: str, drawn: SamplingSettings, longest_prompt: int, held: dict) -> Phases:
    """Each prompt goes through the model once; its samples are decoded with room for all tokens to come."""
    rows, c = drawn.rows_per_batch, BYTES[precision]
    prompts = max(1, rows // drawn.n_samples) * longest_prompt
    return {
        "sampling, prompts": held
        | {"keys and values": _cache(sizes, prompts, c), "activations": _forward(sizes, prompts, c)},
        "sampling, last token": held
        | {
            "keys and values": _cache(sizes, rows * (longest_prompt + drawn.max_new_tokens), c),
            "logits": rows * sizes.vocabulary * (c + 44),  # tempered, sorted with their places, summed up in float64
        },
    }


# --- a preset --------------------------------------------------------------------------------------------------------


def model_config(source: Source) -> PreTrainedConfig:
    """The configuration of a base model, from where the preset says that it comes from.

    Raises:
        ValueError: it is made here, or lies on this machine and is not there.
    """
    if isinstance(source, Hub) and source.id in KNOWN:
        architecture = dict(KNOWN[source.id])
        return AutoConfig.for_model(architecture.pop("model_type"), **architecture)
    if isinstance(source, Hub):
        return AutoConfig.from_pretrained(source.id, revision=source.revision)
    if isinstance(source, Folder | Gguf):
        folder, options = local_copy(source)
        return _read_config(folder, **options)
    raise ValueError(f"no memory estimate for a model of kind {source.kind}; wanted hub, folder or gguf")


@cache  # reading it from a GGUF file takes seconds
def _read_config(folder: str, gguf_file: str | None = None) -> PreTrainedConfig:
    return AutoConfig.from_pretrained(folder, gguf_file=gguf_file)


def preset_memory(settings: dict) -> dict[tuple[str, str], Phases]:
    """Phases of training and sampling of each recipe that the experiments need, by recipe and stage.

    Prompts and targets are as long as the settings let them be, or as they are where a task is generated.

    Args:
        settings: ``config.load_settings``.
    """
    entries = [settings["experiments"][name] for name in settings["preset"]["experiments"]]
    used = {recipe for entry in entries for recipe, _ in recipes_and_objectives(entry)}
    used |= {settings["recipes"][recipe].get("warmup_recipe", recipe) for recipe in used}
    found = {}
    for recipe in [recipe for recipe in settings["preset"]["recipes"] if recipe in used]:
        method = settings["recipes"][recipe]
        model = settings["preset"]["models"][method["model"]]
        config = model_config(read_source(model["source"]))
        longest_prompt, longest = _longest(read_task(settings["preset"]["data"][method["task"]]))
        cut = {"max_length": min(longest, method["max_length"])}
        adapter = Adapter(**method["adapter"]) if model["adapter"] else None
        if method["warmup"] is not None:
            found[recipe, "warm-up"] = sft_memory(config, training_settings(settings, recipe, WARMUP, 1) | cut)
        for objective in method["objectives"]:
            if method["trainer"] == "sft":
                phases = sft_memory(config, training_settings(settings, recipe, objective, 1) | cut)
            else:
                chosen = rl_settings(settings, recipe, objective, 1) | {"adapter": adapter}
                longest_seen = {"longest_prompt": min(longest_prompt, chosen.longest_prompt)}
                phases = grpo_memory(config, chosen | longest_seen)
            found[recipe, "training"] = max(phases, found.get((recipe, "training"), phases), key=needed)
        chosen = sampling_settings(settings, recipe, 1)
        longest_seen = min(longest_prompt, method["max_length"])
        found[recipe, "sampling"] = sampling_memory(config, chosen, adapter, longest_seen)
    return found


LOOKED_AT = 200  # problems of reasoning-gym: drawing all, and scoring their answers, may take minutes


def train_problems(task: Task) -> list[Problem]:
    """The training problems; of reasoning-gym the first ones, whose lengths stand for those of all."""
    if isinstance(task, ReasoningGym):
        return first_problems(task.questions, min(LOOKED_AT, task.sizes.train))
    return load_task(task)[0]["train"]


def _longest(task: Task) -> tuple[float, float]:
    """The longest prompt and example of a generated task, in tokens, of which none is shorter than a character."""
    if isinstance(task, Table):
        return math.inf, math.inf
    problems = train_problems(task)
    # A start token stands in place of an empty prompt, and an end token after the target.
    return (
        max(len(problem.prompt) for problem in problems) + 1,
        max(len(problem.prompt + problem.target) for problem in problems) + 2,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned memory", description=__doc__.splitlines()[0])
    parser.add_argument("preset", type=Path, help="a preset, such as config/paper.yaml")
    preset = parser.parse_args().preset
    settings = load_settings(read_yaml(preset), str(preset), preset.parent)
    print(
        f"GiB of the {(DEVICE - RESERVED) / GIB:.2f} that torch has on a V100 of 16 GB, "
        f"{TOLERANCE:.0%} added to what is not exact"
    )
    too_large = 0
    for (recipe, stage), phases in preset_memory(settings).items():
        size = needed(phases)
        too_large += size > DEVICE - RESERVED
        phase = max(phases, key=lambda name: needed({name: phases[name]}))
        groups = ", ".join(f"{group} {size / GIB:.2f}" for group, size in phases[phase].items() if size > 0.005 * GIB)
        print(f"{size / GIB:6.2f}{' TOO LARGE' * (size > DEVICE - RESERVED)}  {recipe}, {stage}; {phase}: {groups}")
    return int(too_large > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"memory: {error}")
