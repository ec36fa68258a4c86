"""Half precision: what is summed, scaled and clipped in which type, and a sequence of 1,024 tokens in it.

fp16 cannot train on a CPU through transformers; here torch's own autocast and loss scaling, which it uses, do.
"""

import types

import mpmath
import pytest
import torch
import yaml
from conftest import ADAPTER, EVALUATION, REPO, SAMPLING, TRAINING
from stand_ins import make_mistral
from torch.nn.functional import log_softmax
from trl import GRPOConfig, SFTConfig

from compute_aligned.config.loading import load_settings
from compute_aligned.config.resolving import rl_settings, training_settings
from compute_aligned.models.loading import DTYPES, add_adapter, check_precision, load_model
from compute_aligned.models.tokenization import IGNORED
from compute_aligned.objectives import sft_objective
from compute_aligned.sampling.transformers_backend import sample_pools, uniforms
from compute_aligned.training.grpo import grpo_arguments
from compute_aligned.training.run_files import RunFiles
from compute_aligned.training.sft import gold_completions, trainer_arguments

CONFIG = REPO / "config"
LENGTH = 1024
HALF = ["fp16", "bf16"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    make_mistral(folder)
    return folder


def batch_of_one(seed=3, vocabulary=600, n_prompt=20):
    ids = torch.randint(3, vocabulary, (1, LENGTH), generator=torch.Generator().manual_seed(seed))
    labels = ids.clone()
    labels[:, :n_prompt] = IGNORED
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


# --- sums of log-probabilities ---------------------------------------------------------------------------------------


class Fixed(torch.nn.Module):
    """A model with given logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, input_ids, attention_mask, use_cache, logits_to_keep):
        return types.SimpleNamespace(logits=self.logits[:, logits_to_keep])


def fixed_logits(precision, seed=4):
    """Logits whose completions have log p of about -8,000: no half-precision number counts so far in steps of one."""
    noise = torch.randn(1, LENGTH, 600, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * noise).to(DTYPES[precision])


@pytest.mark.parametrize("precision", HALF)
def test_log_p_of_1024_tokens_is_right_whatever_the_models_type(precision):
    batch, errors_in_own_type = batch_of_one(), []
    for seed in range(5):
        logits = fixed_logits(precision, seed)
        gold = gold_completions(Fixed(logits), batch)
        targets = batch["labels"][0, 20:, None]
        exact = log_softmax(logits.double(), dim=-1)[0, 19:-1].gather(1, targets).sum().item()
        assert -9000 < exact < -7500
        assert gold.log_p.dtype == torch.float32
        assert gold.log_p.item() == pytest.approx(exact, rel=1e-6)
        own = log_softmax(logits, dim=-1)[0, 19:-1].gather(1, targets).sum().item()
        errors_in_own_type.append(abs(own - exact))
    assert max(errors_in_own_type) > 1  # the test can tell


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("objective", ["ce", "pass_n64", "majority_n64_k26", "token_margin"])
def test_loss_and_weight_of_1024_tokens_are_right_and_no_gradient_is_lost(objective, precision):
    logits, batch = fixed_logits(precision), batch_of_one()
    model = Fixed(logits)
    gold = gold_completions(model, batch)
    loss = sft_objective(objective).loss(gold).sum()
    loss.backward()
    assert torch.isfinite(model.logits.grad).all()
    supervised = model.logits.grad[0, 19:-1].float()
    assert (supervised.abs().amax(dim=1) > 0).all()
    if objective == "token_margin":
        return
    log_p = log_softmax(logits.double(), dim=-1)[0, 19:-1].gather(1, batch["labels"][0, 20:, None]).sum().item()
    n, k = {"ce": (1, 1), "pass_n64": (64, 1), "majority_n64_k26": (64, 26)}[objective]
    with mpmath.workdps(60):
        p = mpmath.exp(log_p)
        success = sum(mpmath.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
        weight = float(k * mpmath.binomial(n, k) * p**k * (1 - p) ** (n - k) / success)
        assert loss.item() == pytest.approx(float(-mpmath.log(success)), rel=1e-6)
    assert sft_objective(objective).weight(gold).item() == pytest.approx(weight)
    # d loss / d logits = weight (softmax - one-hot), to the precision of the type that it is handed on in.
    expected = weight * logits.double().softmax(dim=-1)[0, 19:-1]
    expected[torch.arange(LENGTH - 20), batch["labels"][0, 20:]] -= weight
    torch.testing.assert_close(supervised.double(), expected, rtol=2**-7, atol=weight * 1e-3)


@pytest.mark.parametrize("precision", HALF)
def test_grpos_log_probabilities_are_float32_and_their_sum_float64(base, precision):
    """TRL's own head, in the precision that it runs in under autocast."""
    from trl.trainer.utils import add_fused_lm_head

    model = load_model(base, base, precision, "nf4", trainable=True)
    add_fused_lm_head(model, temperature=0.8, outputs=("log_probs", "entropy"))
    batch = batch_of_one()
    with torch.no_grad(), torch.autocast("cpu", dtype=DTYPES[precision]):
        per_token = model(**batch, fused_lm_head=True).log_probs
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert per_token.dtype == torch.float32
    exact = log_softmax(logits.double() / 0.8, dim=-1)[0, :-1].gather(1, batch["input_ids"][0, 1:, None])[19:].sum()
    assert exact < -6000
    total = per_token.double().sum()  # ComputeAlignedGRPOTrainer._sequence_log_p
    assert total.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("precision", HALF)
def test_the_log_probability_of_a_sample_is_summed_in_float64(base, precision):
    tokenizer = types.SimpleNamespace(pad_token_id=2)
    model = load_model(base, base, precision, "nf4", trainable=False).eval()
    model.generation_config.eos_token_id = -1  # no end: the completion has all its tokens
    settings = SAMPLING | {"n_samples": 1, "max_new_tokens": 400, "rows_per_batch": 1}
    prompt = [1, 300, 301]
    ((_, (sample,)),) = sample_pools(model, tokenizer, [prompt], [uniforms(1, "p", 1, 400)], settings)
    ids = torch.tensor([prompt + sample.tokens])
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    exact = log_softmax(logits.double(), dim=-1)[0, 2:-1].gather(1, ids[0, 3:, None]).sum().item()
    assert exact < -2000
    # Decoding token by token rounds otherwise than the whole sequence at once.
    assert sample.mean_logprob * 400 == pytest.approx(exact, rel=1e-4)


# --- training in half precision --------------------------------------------------------------------------------------


def gradients(base, precision, scaler=None, objective="pass_n16", batch_size=4):
    """Gradients of a step's loss at 1,024 tokens with an adapter away from its start, loss scaling undone."""
    model = add_adapter(load_model(base, base, precision, "nf4", trainable=True), ADAPTER, seed=1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.05, generator=torch.Generator().manual_seed(5))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3)
    with torch.autocast("cpu", dtype=DTYPES[precision], enabled=precision != "fp32"):
        loss = sft_objective(objective).loss(gold_completions(model.train(), batch_of_one())).sum() / batch_size
    if scaler is None:
        loss.backward()
        return loss.item(), trained, None
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    return loss.item(), trained, optimizer


def distance(one, other):
    """Length of the difference of two sets of gradients over that of the second."""
    difference = sum(((one[name].grad - other[name].grad).double() ** 2).sum() for name in other)
    return float((difference / sum((other[name].grad.double() ** 2).sum() for name in other)).sqrt())


def test_bf16_gradients_of_1024_tokens_are_float32s_but_for_rounding(base):
    loss, trained, _ = gradients(base, "bf16")
    exact_loss, exact, _ = gradients(base, "fp32")
    assert loss == pytest.approx(exact_loss, rel=1e-4)
    assert distance(trained, exact) < 0.02


def test_loss_scaling_finds_a_scale_at_which_fp16_gradients_of_1024_tokens_are_float32s(base):
    """As accelerate does a step: scale, unscale, clip, step; one with an overflow is skipped and the scale halved."""
    scaler = torch.amp.GradScaler("cpu")  # torch's defaults, which accelerate keeps: 65,536 at the start
    exact_loss, exact, _ = gradients(base, "fp32")
    skipped = 0
    while True:
        loss, trained, optimizer = gradients(base, "fp16", scaler)
        assert loss == pytest.approx(exact_loss, rel=1e-4)  # what overflows is the scaled gradient, never the loss
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), 0.3)
        before = {name: p.detach().clone() for name, p in trained.items()}
        scaler.step(optimizer)
        scaler.update()
        moved = [name for name, p in trained.items() if not torch.equal(p, before[name])]
        if norm.isfinite():
            break
        assert moved == []
        skipped += 1
        assert skipped <= 10
    assert skipped > 0  # otherwise the test would not show that one is needed
    assert len(moved) == len(trained)
    assert {p.grad.dtype for p in trained.values()} == {torch.float32}
    exact_norm = torch.nn.utils.clip_grad_norm_(exact.values(), 0.3)
    assert norm.item() == pytest.approx(exact_norm.item(), rel=0.01)
    assert exact_norm > 0.3  # both are clipped, after the scale is undone
    assert distance(trained, exact) < 0.02


# --- what the trainers are told --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper():
    return load_settings(yaml.safe_load((CONFIG / "paper.yaml").read_text()), "paper.yaml", CONFIG)


RECIPES = yaml.safe_load((CONFIG / "recipes.yaml").read_text())["recipes"]


@pytest.mark.parametrize("recipe", [name for name, content in RECIPES.items() if content["warmup"] is not None])
def test_supervised_runs_of_the_paper_scale_the_loss_of_the_7b_model_and_clip_as_the_paper(paper, recipe, tmp_path):
    arguments = trainer_arguments(training_settings(paper, recipe, "warmup", 1), tmp_path)
    is_math = paper["recipes"][recipe]["model"] == "math"
    assert isinstance(arguments, SFTConfig)
    assert (arguments.fp16, arguments.bf16) == (is_math, False)
    assert arguments.max_grad_norm == (0.3 if is_math else 1.0)
    assert not (arguments.fp16_full_eval or arguments.bf16_full_eval)


@pytest.mark.parametrize("recipe", [name for name, content in RECIPES.items() if content["trainer"] == "grpo"])
def test_reinforcement_learning_of_the_paper_scales_the_loss_of_the_7b_model_and_clips_as_the_paper(
    paper, recipe, tmp_path
):
    objective = paper["recipes"][recipe]["objectives"][0]
    arguments = grpo_arguments(rl_settings(paper, recipe, objective, 1), tmp_path)
    assert isinstance(arguments, GRPOConfig)
    assert (arguments.fp16, arguments.bf16) == (paper["recipes"][recipe]["model"] == "math", False)
    assert arguments.max_grad_norm == 1.0
    assert arguments.cast_lm_head_to_fp32 is False  # TRL's head folds half-precision tiles in float32


@pytest.mark.parametrize(
    ("precision", "half"), [("fp32", (False, False)), ("bf16", (False, True)), ("fp16", (True, False))]
)
def test_the_preset_alone_decides_the_precision(precision, half, tmp_path):
    """TRL's own default is bf16 wherever fp16 is not asked for."""
    arguments = trainer_arguments(TRAINING | {"precision": precision}, tmp_path)
    assert (arguments.fp16, arguments.bf16) == half


def test_a_run_on_the_wrong_device_ends_before_anything_is_read(paper, tmp_path, monkeypatch):
    import sample

    from compute_aligned.training import grpo_run as train_grpo
    from compute_aligned.training import sft_run as train_sft

    nowhere = {"path_to_base": "no", "path_to_problems": "no", "threads": 1, "checkpoints": str(tmp_path)}
    nowhere |= {"run": "r/ce/seed1", "code": "c0de"}
    files = dict.fromkeys(("base", "start", "problems", "model", "record"), "no")
    train = {"files": RunFiles(**files, checkpoints=str(tmp_path), run="r/ce/seed1", code="c0de"), "threads": 1}
    calls = [
        (train_sft.train_sft, train | {"settings": training_settings(paper, "math_sft_pass", "ce", 1)}),
        (train_grpo.train_grpo, train | {"settings": rl_settings(paper, "math_rl_pass", "grpo", 1)}),
        (
            sample.sample,
            nowhere | {"path_to_model": "no", "path_to_samples": "no", "settings": EVALUATION | {"precision": "fp16"}},
        ),
    ]
    for function, keywords in calls:
        with pytest.raises(ValueError, match="precision fp16 needs a GPU and none was found; wanted fp32 or bf16"):
            function(**keywords)
    check_precision("bf16")  # what preset small trains in on a CPU
