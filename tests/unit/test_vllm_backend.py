"""What vLLM is asked for, and what its answers become. vLLM itself does not run here: a stand-in speaks its API.

The shapes (LLM, SamplingParams, LoRARequest, RequestOutput, CompletionOutput) are those of vllm 0.30, reduced to what
is set or read. The stand-in's engine answers with what the transformers backend draws, so both must end in one table.
"""

import dataclasses
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ADAPTER, REPO, TRAINING

from compute_aligned.config.files import ConfigError
from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import sampling_settings
from compute_aligned.config.settings.evaluation import EvaluationSettings
from compute_aligned.models.loading import load_model
from compute_aligned.models.tokenization import encode_prompt
from compute_aligned.provenance.artifacts import read_artifact
from compute_aligned.provenance.hashing import code_hash
from compute_aligned.sampling import evaluation as script
from compute_aligned.sampling import vllm_backend
from compute_aligned.sampling.pools import Completion
from compute_aligned.sampling.transformers_backend import SamplingSettings, sample_pools, uniforms
from compute_aligned.sampling.vllm_backend import ADAPTER_RANKS, completion_of, problem_seed
from compute_aligned.training.run_files import RunFiles

SETTINGS = EvaluationSettings(
    backend="vllm",
    problems=5,
    levels=[1, 2, 3, 4, 5],
    longest_prompt=64,
    selection_seed=5,
    seed=7,
    n_samples=6,
    max_new_tokens=5,
    rows_per_batch=24,
    problems_per_shard=2,
    temperature=1.3,
    top_p=0.9,
    top_k=0,
    quantization=None,
    precision="fp32",
)


# --- vLLM's shapes ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None
    logprobs: list | None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclasses.dataclass
class RequestOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool


@dataclasses.dataclass
class SamplingParams:
    n: int
    seed: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop_token_ids: list[int]
    logprobs: int
    detokenize: bool


@dataclasses.dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


class Engine:
    """Stands for vllm.LLM: records how it was made and asked; draws with the transformers backend."""

    made = []
    fatal = None  # the number of the call that dies

    def __init__(self, model, **options):
        self.options = {"model": model, **options}
        self.calls = []
        Engine.made.append(self)

    def generate(self, prompts, sampling_params, *, use_tqdm, lora_request):
        self.calls.append((prompts, sampling_params, lora_request))
        if len(self.calls) == Engine.fatal:
            raise KeyboardInterrupt
        base = Path(self.options["tokenizer"])
        tokenizer = script.load_tokenizer(base)
        run = Path(self.options["model"] if lora_request is None else lora_request.lora_path)
        model = load_model(base, run, self.options["dtype"].replace("float", "fp"), None, trainable=False).eval()
        return [
            self._answer(model, tokenizer, prompt["prompt_token_ids"], params)
            for prompt, params in zip(prompts, sampling_params, strict=True)
        ]

    def _answer(self, model, tokenizer, prompt, params):
        settings = SamplingSettings(
            n_samples=params.n,
            max_new_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            rows_per_batch=params.n,
        )
        draws = DRAWS[params.seed]
        ((_, pool),) = sample_pools(model, tokenizer, [prompt], [draws], settings)
        outputs = []
        for index, completion in enumerate(pool):
            said = completion.tokens + [tokenizer.eos_token_id] * (completion.finish_reason == "stop")
            with torch.no_grad():
                log_p = model(input_ids=torch.tensor([prompt + said])).logits[0].double().log_softmax(dim=-1)
            places = range(len(prompt) - 1, len(prompt) + len(said) - 1)
            total = sum(float(log_p[place, token]) for place, token in zip(places, said, strict=True))
            outputs.append(CompletionOutput(index, "", said, total, [], completion.finish_reason))
        return RequestOutput("0", None, prompt, outputs[::-1], True)  # in whatever order they ended


DRAWS = {}  # by the seed of a problem's pool, the numbers that the transformers backend would draw it with


@pytest.fixture
def vllm(monkeypatch, splits):
    """The stand-in, installed as the package `vllm`; gives the engines that were made."""
    package, lora, request = (types.ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request"))
    package.LLM, package.SamplingParams, request.LoRARequest = Engine, SamplingParams, LoRARequest
    for module in (package, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Engine, "made", [])
    monkeypatch.setattr(Engine, "fatal", None)
    for problem in splits["train"]:
        numbers = uniforms(SETTINGS.seed, problem.problem_id, SETTINGS.n_samples, SETTINGS.max_new_tokens)
        DRAWS[problem_seed(SETTINGS.seed, problem.problem_id)] = numbers
    return Engine.made


@pytest.fixture
def run(base, trained, problems, tmp_path):
    def run(name="samples", path_to_model=trained, **changes):
        path = tmp_path / f"{name}.parquet"
        facts = script.sample(
            path_to_base=str(base),
            path_to_model=str(path_to_model),
            path_to_problems=str(problems),
            settings=SETTINGS | changes,
            threads=1,
            checkpoints=str(tmp_path / "checkpoints"),
            path_to_samples=str(path),
            run=f"recipe/{name}/seed1",
            code="c0de",
        )
        return read_artifact("samples", path), facts

    return run


@pytest.fixture(scope="session")
def adapter(base, problems, tmp_path_factory):
    """Folder of a briefly trained LoRA adapter."""
    from compute_aligned.training.sft_run import train_sft

    folder = tmp_path_factory.mktemp("adapter")
    train_sft(
        RunFiles(
            base=str(base),
            start=str(base),
            problems=str(problems),
            checkpoints=str(folder / "checkpoints"),
            model=str(folder / "model"),
            record=str(folder / "record.parquet"),
            run="recipe/ce/seed1",
            code="c0de",
        ),
        settings=TRAINING | {"adapter": ADAPTER, "learning_rate": 0.05},
        threads=1,
    )
    return folder / "model"


# --- the table -------------------------------------------------------------------------------------------------------


def test_both_backends_end_in_the_same_table(vllm, run, adapter):
    for model in ({}, {"path_to_model": adapter}):
        by_vllm, facts = run(**model)
        by_transformers, others = run(backend="transformers", **model)
        assert set(by_vllm["finish_reason"]) == {"stop", "length"}
        pd.testing.assert_frame_equal(by_vllm, by_transformers, rtol=0, atol=1e-4)
        assert {key for key in facts if facts[key] != others[key]} == {"shards", "device"}
    assert len(vllm) == 2  # one engine per run of vLLM


def test_a_killed_run_keeps_its_shards_and_asks_again_for_the_others_alone(vllm, run, monkeypatch):
    whole, _ = run("whole", problems_per_shard=3)
    monkeypatch.setattr(Engine, "fatal", 2)
    with pytest.raises(KeyboardInterrupt):
        run("killed")
    monkeypatch.setattr(Engine, "fatal", None)
    again, _ = run("killed")
    assert [len(prompts) for prompts, _, _ in vllm[-1].calls] == [2, 1]  # of 2, 2 and 1
    pd.testing.assert_frame_equal(again, whole)


# --- what the engine is asked ----------------------------------------------------------------------------------------


def test_an_adapter_is_served_on_the_base_model_and_not_merged(vllm, run, adapter, base):
    run(path_to_model=adapter)
    (engine,) = vllm
    assert (engine.options["model"], engine.options["tokenizer"]) == (str(base), str(base))
    assert engine.options["enable_lora"] is True
    assert engine.options["max_lora_rank"] == 8  # the smallest that vLLM knows and r = 4 fits in
    assert {request.lora_path for _, _, request in engine.calls} == {str(adapter)}
    assert {request.lora_int_id for _, _, request in engine.calls} == {1}


def test_a_whole_model_is_served_as_it_is(vllm, run, trained, base):
    run()
    (engine,) = vllm
    assert (engine.options["model"], engine.options["tokenizer"]) == (str(trained), str(base))
    assert "enable_lora" not in engine.options
    assert {request for _, _, request in engine.calls} == {None}


def test_settings_reach_the_engine_by_vllms_names(vllm, run, tokenizer, splits):
    run(top_k=7)
    (engine,) = vllm
    (prompts, params, _), *_ = engine.calls
    assert {(p.n, p.temperature, p.top_p, p.top_k, p.max_tokens) for p in params} == {(6, 1.3, 0.9, 7, 5)}
    assert [p.stop_token_ids for p in params] == [[tokenizer.eos_token_id]] * len(params)
    assert {p.logprobs for p in params} == {0} and engine.options["logprobs_mode"] == "raw_logprobs"
    assert engine.options["dtype"] == "float32" and engine.options["quantization"] is None
    assert engine.options["max_num_seqs"] == 24
    longest = max(len(prompt["prompt_token_ids"]) for call, _, _ in engine.calls for prompt in call)
    assert engine.options["max_model_len"] == longest + 5
    assert engine.options["generation_config"] == "vllm"
    for prompt in prompts:  # as training saw it, the opening of the answer included
        assert tokenizer.decode(prompt["prompt_token_ids"]).endswith("<|assistant|>")


def test_four_bit_weights_and_half_precision_are_named_as_vllm_names_them(vllm, base, adapter):
    vllm_backend.vllm_sampler(base, adapter, [3], 1, SETTINGS, "fp16", "nf4", longest_prompt=10)
    assert (vllm[0].options["dtype"], vllm[0].options["quantization"]) == ("float16", "bitsandbytes")


def test_it_runs_in_one_process_and_reports_nothing(vllm, run):
    import os

    run()
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0" and os.environ["VLLM_NO_USAGE_STATS"] == "1"


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_each_problem_has_a_seed_of_its_own_that_leaves_room_for_its_samples():
    seeds = [problem_seed(seed, f"p{i}") for seed in range(20) for i in range(500)]
    assert all(0 <= seed < 2**62 for seed in seeds)
    gaps = np.diff(sorted(seeds))
    assert gaps.min() > 1024  # vLLM draws sample i with seed + i: no two pools share a number
    assert problem_seed(3, "p4") == problem_seed(3, "p4")


# --- samples ---------------------------------------------------------------------------------------------------------

END = 9


def test_the_end_token_is_no_part_of_a_completion_and_counts_in_its_log_probability():
    sample = CompletionOutput(0, "", [4, 5, END], -6.0, [], "stop")
    assert completion_of(sample, [END]) == Completion([4, 5], "stop", -2.0)


def test_a_completion_may_be_nothing_but_the_end():
    assert completion_of(CompletionOutput(0, "", [END], -3.0, [], "stop"), [END]) == Completion([], "stop", -3.0)


def test_each_of_several_end_tokens_ends_a_completion():
    sample = CompletionOutput(0, "", [4, END], -6.0, [], "stop", END)
    assert completion_of(sample, [7, END]) == completion_of(sample, [END, 7]) == Completion([4], "stop", -3.0)


def test_a_completion_that_reaches_the_limit_keeps_all_its_tokens():
    sample = CompletionOutput(0, "", (4, 5, 6), -6.0, [], "length")
    assert completion_of(sample, [END]) == Completion([4, 5, 6], "length", -2.0)


@pytest.mark.parametrize(
    ("tokens", "reason", "stop"),
    [([4], "abort", None), ([4, 5], "stop", "\n"), ([4, 5], "stop", 5), ([], "error", None)],
)
def test_a_sample_that_ended_for_another_reason_is_refused(tokens, reason, stop):
    with pytest.raises(
        ValueError, match=f"finish_reason '{reason}', .*wanted an end token .{END}. or the length limit"
    ):
        completion_of(CompletionOutput(0, "", tokens, -6.0, [], reason, stop), [END])


# --- where it is missing, and what is configured ---------------------------------------------------------------------


def test_without_vllm_the_error_says_what_to_install(run):
    with pytest.raises(ValueError) as error:
        run()
    sentence = str(error.value)
    assert "\n" not in sentence
    assert (
        "pip install --constraint constraints.txt '.[workflow,report,vllm]'" in sentence
        and "envs/vllm.yaml" in sentence
    )


def settings_of(**changes):
    preset = yaml.safe_load((REPO / "config" / "paper.yaml").read_text()) | changes
    return load_settings(preset, "my.yaml", REPO / "config")


def test_the_backend_is_one_key_of_the_preset_and_part_of_a_jobs_settings():
    resolved = {
        backend: sampling_settings(settings_of(sampling_backend=backend), "math_sft_pass", 1).plain()
        for backend in ("transformers", "vllm")
    }
    assert {key for key, value in resolved["vllm"].items() if resolved["transformers"][key] != value} == {"backend"}
    for wrong, said in (
        ({"sampling_backend": "magic"}, "transformers, vllm"),
        ({"seeds_in_one_job": True}, "seeds_in_"),
    ):
        with pytest.raises(ConfigError, match=said):
            settings_of(**{"sampling_backend": "vllm"} | wrong)


def test_every_rank_of_a_recipe_fits_a_limit():
    recipes = yaml.safe_load((REPO / "config" / "recipes.yaml").read_text())["recipes"]
    assert all(recipe["adapter"]["r"] <= max(ADAPTER_RANKS) for recipe in recipes.values())


def test_only_the_code_of_the_backend_in_use_counts(monkeypatch):
    source = REPO / "workflow" / "scripts" / "sample.py"
    unused = {"transformers": "sampling.vllm_backend", "vllm": "sampling.transformers_backend"}
    before = {backend: code_hash(source, unused=[other]) for backend, other in unused.items()}
    read = Path.read_text

    def changed(path, *arguments, **options):
        return read(path, *arguments, **options) + "\nCHANGED = 1\n" * (path.name == "vllm_backend.py")

    monkeypatch.setattr(Path, "read_text", changed)
    after = {backend: code_hash(source, unused=[other]) for backend, other in unused.items()}
    assert after["transformers"] == before["transformers"] and after["vllm"] != before["vllm"]


def test_prompts_over_the_limit_are_sampled_all_the_same_and_counted(vllm, run, splits, tokenizer):
    lengths = {problem.problem_id: len(encode_prompt(tokenizer, problem.prompt)) for problem in splits["train"]}
    for backend in ("vllm", "transformers"):
        frame, facts = run(longest_prompt=8, backend=backend)
        sampled = [lengths[problem_id] for problem_id in frame["problem_id"].unique()]
        assert len(sampled) == facts["n_problems"] == 5
        assert facts["n_prompts_too_long"] == sum(length > 8 for length in sampled) == 2
