"""Reinforcement learning with compute aligned advantages: TRL's GRPOTrainer with other advantages and our sampler."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import RepeatSampler

from ..advantages import AdvantageSettings, RLObjective, Rollouts, batch_advantages, batch_weights, rl_objective
from ..analysis.effective_share import effective_share
from ..config.settings.common import SamplingSettings
from ..config.settings.rl import RLSettings
from ..models.loading import position_ids, sees_distances_alone, trainable_weights_kept
from ..models.prefix import after_common_prefix
from ..models.tokenization import encode_prompt
from ..sampling.transformers_backend import sample_tokens, sampling_mode, uniforms
from ..tasks import Problem
from .arguments import shared_arguments
from .callbacks import SaveRecord
from .checkpoints import RECORD
from .trained import checked_logs, refuse_values_that_are_no_numbers

LOSSES = ("sequence", "token_mean")
# For the weights to be what they are said to be: one update per batch, and a mean over a completion's tokens.
REQUIRED = {
    "loss_type": "grpo",
    "importance_sampling_level": "token",
    "num_iterations": 1,
    "use_vllm": False,
    "scale_rewards": "group",
}
# What the record holds of each step, by the names in TRL's log. reward, entropy and kl are TRL's: means over the
# completions and over their tokens. kl is None without a KL term, log_p_p50 where the weight needs no log p,
# jackpot_share where the reward logs none.
RECORDED = (
    "reward",
    "jackpot_share",
    "no_signal_share",
    "weight_p05",
    "weight_p50",
    "weight_p95",
    "effective_share",
    "log_p_p50",
    "kl",
    "entropy",
)


class ComputeAlignedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer whose advantages are w A (``advantages``); with ``grpo`` it is TRL's own training.

    Completions are drawn by sampling.sample_tokens, from the distribution that TRL draws from, in less time.

    A weight that needs a completion's probability alone (Pass@N without normalisation) is taken in the loss, whose
    forward pass gives that probability anyway; every other one right after sampling.

    It takes one reward function and runs in one process. A reward on whose answers a majority votes logs them by
    TRL's ``log_extra`` as column ``answer`` (tasks.rewards).

    ``loss`` names how the tokens of a completion are put together. As each batch serves one update, the policy is the
    one that sampled: all ratios are 1, no clip acts, and the gradient of the policy term is, averaged over completions,

    - ``sequence``: that of -A~ times the sum of the tokens' log-probabilities. Equal to it are the clipped ratio of
      sequence probabilities (paper Sec. 3.2, App. C), REINFORCE (its released code) and TRL's loss type ``luspo``.
    - ``token_mean``: that of -A~ times their mean. Equal to it are TRL's loss type ``grpo`` and, with its importance
      sampling level ``sequence``, GSPO, whose ratio is normalised by length.

    The KL term is in both beta times the mean of exp(d) - d - 1 over a completion's tokens, d = log ref - log pi, as in
    the released code. TRL's ``luspo`` would sum it over the tokens; ``dapo`` and ``dr_grpo`` weigh each completion by
    its length.

    ``record`` holds under "steps" one dict per step (RECORDED and the step), and under "reward_window" the rewards
    among which Best-of-N ranks the next ones.

    Args:
        model: as GRPOTrainer takes it, a name or a model.
        reward_funcs: one function or a list of one.
        args: TRL's settings. What TRL puts together otherwise than the paper is refused (``REQUIRED``).
        objective: an advantage rule or its name (``pass_n16_log``, ``majority_n8_raw``, ``best_of_n4``, ``grpo``;
            advantages.RL_OBJECTIVES).
        advantage_settings: clips, normalisation and penalties of weights and advantages; without it the paper's of
            Pass@N.
        loss: ``sequence`` or ``token_mean``.
        train_dataset, ...: as GRPOTrainer takes them.

    Raises:
        ValueError: an unknown objective or loss, a setting of ``args`` that is not the required one, several reward
            functions or several processes.
    """

    def __init__(
        self,
        model,
        reward_funcs,
        args: GRPOConfig,
        *,
        objective: RLObjective | str,
        advantage_settings: AdvantageSettings | None = None,
        loss: str = "sequence",
        **kwargs,
    ):
        objective = rl_objective(objective) if isinstance(objective, str) else objective
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}; wanted one of {', '.join(LOSSES)}")
        wrong = {name: getattr(args, name) for name, value in REQUIRED.items() if getattr(args, name) != value}
        if wrong or args.steps_per_generation != args.gradient_accumulation_steps:
            found = {"steps_per_generation": args.steps_per_generation} | wrong
            wanted = {"steps_per_generation": args.gradient_accumulation_steps} | {
                name: REQUIRED[name] for name in wrong
            }
            raise ValueError(f"found GRPOConfig({_arguments(found)}), wanted GRPOConfig({_arguments(wanted)})")
        with trainable_weights_kept(model):
            super().__init__(model, reward_funcs, args, **kwargs)
        advantage_settings = advantage_settings or AdvantageSettings()
        if len(self.reward_funcs) != 1 or self.accelerator.num_processes != 1:
            raise ValueError(
                f"got {len(self.reward_funcs)} reward functions and {self.accelerator.num_processes} processes; "
                "wanted one of each"
            )
        self.objective = objective
        self.advantage_settings = advantage_settings
        self.loss = loss
        self._weighs_in_loss = objective.needs == ("log_p",) and not advantage_settings.normalize_weights
        self._step_weights = _StepWeights()
        self.record: dict[str, list] = {"steps": [], "reward_window": []}
        self.add_callback(SaveRecord(self.record))

    def _tokenize_prompts(self, prompts):
        """Token ids of prompts, a single turn of a user encoded as everywhere else; TRL's fields for images, empty."""
        if not all(isinstance(prompt, list) and [turn["role"] for turn in prompt] == ["user"] for prompt in prompts):
            return super()._tokenize_prompts(prompts)
        texts = [messages[0]["content"] for messages in prompts]  # each as often as it has completions
        ids = {text: encode_prompt(self.processing_class, text) for text in dict.fromkeys(texts)}
        return [list(ids[text]) for text in texts], None, {}

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
        """Token ids of the completions by the sampler of pools, the end token among them; and TRL's log-probs, None.

        TRL's own way reads a prompt again for each of its completions and copies the cache for every token. The
        random numbers depend on seed, step and place in the batch alone: nothing to save for an exact resume.
        """
        arguments = self.args
        settings = SamplingSettings(
            n_samples=num_generations,
            max_new_tokens=arguments.max_completion_length,
            temperature=arguments.temperature,
            top_p=arguments.top_p,
            top_k=arguments.top_k,
            rows_per_batch=len(prompt_ids),
        )
        prompts = prompt_ids[::num_generations]  # each stands there once per completion
        draws = [
            uniforms(
                arguments.seed,
                f"step {self.state.global_step}|prompt {place}",
                num_generations,
                settings.max_new_tokens,
            )
            for place in range(len(prompts))
        ]
        with sampling_mode(self.model):
            groups = dict(sample_tokens(self.model, self.processing_class, prompts, draws, settings))
        return [row.tokens for place in range(len(prompts)) for row in groups[place]], None

    def _generate_and_score_completions(self, inputs):
        """TRL's batch with our advantages, in TRL's log too. The completions of a prompt still stand together here."""
        output = super()._generate_and_score_completions(inputs)
        rollouts = self._rollouts(output)
        advantages = batch_advantages(rollouts.rewards, self.advantage_settings)
        self._step_weights = _StepWeights()
        if self._weighs_in_loss:
            output["row"] = torch.arange(advantages.numel())  # TRL shuffles the batch, then cuts it
        else:
            weights = batch_weights(self.objective, rollouts, self.advantage_settings)
            advantages = weights * advantages
            self._step_weights.add(weights, rollouts.log_p)
        no_signal = (rollouts.rewards == rollouts.rewards[:, :1]).all(dim=1)
        self._metrics["train"]["no_signal_share"].append(no_signal.double().mean().item())
        output["advantages"] = advantages.flatten().to(output["advantages"].device)
        self._logs["advantages"].extend(advantages.flatten().tolist())  # as long as the batch: TRL's own are gone
        if self.advantage_settings.reward_window is not None:
            window = self.record["reward_window"]
            window += rollouts.rewards.flatten().tolist()
            del window[: -self.advantage_settings.reward_window]
        return output

    def _rollouts(self, output: dict) -> Rollouts:
        """What the objective may look at, from TRL's log of the batch, on the CPU, shape (prompts, group)."""
        group = self.num_generations
        rewards = torch.tensor(self._logs["rewards"][self.reward_func_names[0]]).view(-1, group)
        answers = log_p = past_rewards = None
        if "answers" in self.objective.needs:
            column = list(self._logs["extra"]["answer"])
            if len(column) != rewards.numel():
                raise ValueError(
                    f"{self.objective.name} counts votes, but the reward {self.reward_func_names[0]!r} logged "
                    f"{len(column)} answers for {rewards.numel()} completions; wanted log_extra('answer', answers)"
                )
            answers = [column[start : start + group] for start in range(0, len(column), group)]
        if "log_p" in self.objective.needs and not self._weighs_in_loss:
            log_p = self._sequence_log_p(output).view(-1, group).cpu()
        if self.advantage_settings.reward_window is not None:
            past_rewards = torch.tensor(self.record["reward_window"])
        return Rollouts(rewards, answers, log_p, past_rewards)

    def _sequence_log_p(self, output: dict) -> torch.Tensor:
        """log p of each sampled completion under the policy at the sampling temperature, shape (rows,), float64.

        What top-p and top-k cut off counts as if it could have been sampled, as everywhere in TRL.
        """
        per_token = output.get("old_per_token_logps")
        if per_token is None:
            with torch.no_grad():
                per_token, _, _ = self._pass(self.model, output, batch_size=self.args.per_device_train_batch_size)
        return _of_sequences(per_token, output["completion_mask"])

    def _compute_loss(self, model, inputs):
        inputs = dict(inputs)
        if self.loss == "sequence":
            # TRL's loss form "grpo" takes the mean over a completion's tokens; times their number it is the sum.
            inputs["advantages"] = inputs["advantages"] * inputs["completion_mask"].sum(dim=1)
        if self._weighs_in_loss:
            # The pass that TRL's loss would make, made before it: the weights are in it.
            made = self._pass(model, inputs, compute_entropy=True, compute_aux_loss=self.aux_loss_enabled)
            model = _PassMade(made)
            log_p = _of_sequences(made[0].detach(), inputs["completion_mask"])
            weights = self._weights_of_rows(inputs["row"].tolist(), log_p.cpu())
            inputs["advantages"] = inputs["advantages"] * weights.to(inputs["advantages"].device)
        return super()._compute_loss(model, inputs)

    def _pass(self, model, batch: dict, **options) -> tuple:
        """Log-probabilities of a batch's completion tokens, and TRL's entropies and auxiliary loss if asked for."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        return self._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1], **options)

    def _weights_of_rows(self, rows: list[int], log_p: torch.Tensor) -> torch.Tensor:
        """The weights of some rows of the batch by their log p, (rows,); the advantages in TRL's log are weighted."""
        rollouts = Rollouts(torch.zeros(len(rows), 1), log_p=log_p[:, None])  # such a weight depends on log p alone
        weights = batch_weights(self.objective, rollouts, self.advantage_settings).flatten()
        for row, weight in zip(rows, weights.tolist(), strict=True):
            self._logs["advantages"][row] *= weight
        self._step_weights.add(weights, log_p)
        return weights

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        if isinstance(model, _PassMade):
            return model.output
        # The one place where TRL asks policy and reference for log-probabilities; it does nothing but call them.
        return super()._get_per_token_logps_and_entropies(_Scored(model), *args, **kwargs)

    def log(self, logs, start_time=None):
        if "loss" in logs:
            for name, value in self._step_weights.statistics().items():
                self._metrics["train"][name].append(value)
        super().log(logs, start_time)  # puts the step's metrics into logs
        if "loss" in logs:
            row = {key: logs.get(key) for key in RECORDED}
            refuse_values_that_are_no_numbers(self.state.global_step, checked_logs(logs, self.args) | row)
            self.record["steps"].append({"step": self.state.global_step} | row)

    def _get_train_sampler(self, dataset=None):
        return _EpochSampler(super()._get_train_sampler(dataset))

    def resume_record(self, checkpoint: Path) -> None:
        """Take up the record of a checkpoint."""
        for key, rows in json.loads((checkpoint / RECORD).read_text()).items():
            self.record[key][:] = rows


def _arguments(values: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


class _StepWeights:
    """The weights of a step's completions, taken at once or by micro-batches, and what the step's log says of them."""

    def __init__(self):
        self._weights: list[torch.Tensor] = []
        self._log_p: list[torch.Tensor] = []

    def add(self, weights: torch.Tensor, log_p: torch.Tensor | None) -> None:
        """Take in weights, of any shape, and the log p that they were taken at, if there is one."""
        self._weights.append(weights.flatten().double())
        if log_p is not None:
            self._log_p.append(log_p.flatten())

    def statistics(self) -> dict[str, float]:
        """By their names in RECORDED: quantiles, effective share, and the median of log p if there is one."""
        weights = torch.cat(self._weights)
        quantiles = weights.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64))
        values = dict(zip(("weight_p05", "weight_p50", "weight_p95"), quantiles.tolist(), strict=True))
        values["effective_share"] = effective_share(weights.numpy())
        if self._log_p:
            values["log_p_p50"] = torch.cat(self._log_p).quantile(0.5).item()
        return values


class _PassMade:
    """A pass through the policy that was made already; it goes to TRL's loss in the model's place."""

    def __init__(self, output: tuple):
        self.output = output


class _Scored:
    """A model as TRL calls it for log-probabilities: it reads a common prefix once, and tokens have their positions.

    TRL pads prompts on the left and says nothing of positions: learned ones would count the padding. On a CPU its head
    scores every token that it is given, those of prompts, too, and so most of them in vain.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor, **options):
        inputs, cut = after_common_prefix(self.model, input_ids, attention_mask, labels)
        if cut == 0 and not sees_distances_alone(self.model):
            inputs["position_ids"] = position_ids(attention_mask)
        return self.model(**inputs, labels=labels[:, cut:], **options)


def _of_sequences(per_token: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """log p of each completion, (rows,), float64, from those of its tokens, (rows, tokens)."""
    return (per_token.double() * mask).sum(dim=1)


class _EpochSampler(Sampler):
    """TRL's order of prompts, also where a run is taken up: TRL's sampler would start again with the first epoch's."""

    def __init__(self, sampler: RepeatSampler):
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Bring the generator to where it stands after ``epoch`` epochs."""
        self.sampler.generator.manual_seed(self.sampler.seed)
        for _ in range(epoch):
            torch.randperm(self.sampler.num_samples, generator=self.sampler.generator)

    def __iter__(self) -> Iterator[int]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


def prompts_dataset(problems: Iterable[Problem]) -> Dataset:
    """Problems as TRL's GRPO wants them: the prompt as a conversation, and the gold answer for the reward."""
    return Dataset.from_list(
        [{"prompt": [{"role": "user", "content": problem.prompt}], "answer": problem.answer} for problem in problems]
    )


def grpo_arguments(settings: RLSettings, work: Path) -> GRPOConfig:
    """TRL's settings of a run; every default that decides a result is named here.

    One batch of ``prompts_per_step`` x ``group_size`` completions is sampled at once and serves one update;
    ``micro_batch_size`` splits its forward and backward passes and changes no result. A checkpoint therefore always
    stands between two batches, which an exact resume needs: TRL does not save a batch in use.

    Args:
        settings: of the run. TRL cuts no prompts: the caller refuses or drops long ones.
        work: folder of checkpoints.

    Raises:
        ValueError: the micro-batch size does not divide the batch.
    """
    batch, micro = settings.prompts_per_step * settings.group_size, settings.micro_batch_size
    if batch % micro:
        raise ValueError(
            f"micro_batch_size is {micro}; wanted a divisor of prompts_per_step x group_size = "
            f"{settings.prompts_per_step} x {settings.group_size} = {batch}"
        )
    return GRPOConfig(
        **shared_arguments(settings, work),
        max_steps=settings.steps,
        shuffle_dataset=True,
        # sampling
        num_generations=settings.group_size,
        gradient_accumulation_steps=batch // micro,
        steps_per_generation=batch // micro,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=None,
        repetition_penalty=1.0,
        cache_implementation=None,  # transformers' own choice: a growing cache
        use_transformers_continuous_batching=False,
        use_vllm=False,
        # the loss: see ComputeAlignedGRPOTrainer
        loss_type="grpo",
        importance_sampling_level="token",
        num_iterations=1,
        epsilon=0.2,  # C; P has none. It never acts: one update per batch leaves all ratios at 1
        epsilon_high=None,  # as epsilon
        delta=None,
        off_policy_mask_threshold=None,
        multi_objective_aggregation="sum_then_normalize",
        scale_rewards="group",  # (r - mean) / (sd + 1e-4)
        beta=settings.beta,
        use_bias_correction_kl=False,  # TRL's default multiplies the KL term by the ratio
        sync_ref_model=False,
        mask_truncated_completions=False,
        top_entropy_quantile=1.0,
        entropy_coef=0.0,
        use_adaptive_entropy=False,
        disable_dropout=True,
        cast_lm_head_to_fp32=False,
        # the records
        logging_steps=1,
        log_completions=False,
    )
