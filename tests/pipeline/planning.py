"""What Snakemake should plan, counted from the configuration alone."""

from collections import Counter

LEFT_OUT = (
    "alignment_matrix",
    "math_rl_majority",
    "weighting_ablation_pass",
    "weighting_ablation_majority",
    "protein_unconditional",
)


def shrink(tiny):
    """The content of the preset `seconds`: tiny's, shrunk until a job takes little more than its imports."""
    preset = tiny | {"preset": "seconds", "seeds": [1, 2]}
    # One experiment of each sort: reinforcement learning on answers, from two warm-ups, on proteins.
    preset["experiments"] = {name: entry for name, entry in tiny["experiments"].items() if name not in LEFT_OUT}
    preset["models"]["math"]["source"]["architecture"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    preset["models"]["math"]["source"] |= {"corpus_size": 64, "steps": 2, "batch_size": 8}
    preset["data"]["math"]["sizes"] = {"train": 80, "validation": 8, "test": 20}
    preset["models"]["protein"]["source"] |= {"corpus_size": 32, "steps": 2, "batch_size": 8}
    preset["models"]["protein"]["source"]["architecture"] |= {"n_layer": 1, "n_embd": 16}
    preset["data"]["protein_conditional"]["sizes"] = {"train": 40, "validation": 8, "test": 8}
    for recipe in preset["recipes"].values():
        small = {"train_problems": 30, "warmup_epochs": 2, "epochs": 2}
        small |= {"batch_size": 8, "micro_batch_size": 8, "checkpoint_steps": 5}
        recipe |= {key: value for key, value in small.items() if key in recipe}
        recipe["evaluation"] |= {"problems": min(8, recipe["evaluation"]["problems"]), "samples": 8}
        recipe["evaluation"] |= {"max_new_tokens": 8, "rows_per_batch": 64, "problems_per_shard": 4}
        if "success_rate" in recipe:
            recipe["success_rate"] = {"samples": 2, "refresh_epochs": 1}
        if "rl" in recipe:
            recipe["rl"] |= {"problems": min(8, recipe["rl"]["problems"]), "steps": 2, "max_new_tokens": 8}
    for experiment in preset["experiments"].values():
        if "k" in experiment:
            experiment["k"] = [1, 4]
    preset["recipes"]["math_sft_pass"]["train_problems"] = 60
    evaluation = preset["recipes"]["math_sft_pass"]["evaluation"]
    evaluation |= {"problems": 8}  # two shards
    return preset


def jobs_of(chosen, recipes, seed_jobs):
    """Jobs per rule that everything of some experiments needs, from nothing.

    `chosen` are their entries in experiments.yaml, `recipes` the content of recipes.yaml, `seed_jobs` the number of
    jobs that go through the seeds: all of them in one, or each in its own.
    """
    runs = runs_of(chosen)
    used = {recipe for recipe, _ in runs}
    warmups = warmups_of(runs, recipes)
    by_trainer = Counter(recipes[recipe]["trainer"] for recipe, _ in runs)
    by_reward = Counter(recipes[recipe]["reward"] == "answer" for recipe, _ in runs)
    starts = starts_of(chosen)
    starts_by_reward = Counter(recipes[recipe]["reward"] == "answer" for recipe in starts)
    counts = {
        "problems": len({recipes[recipe]["task"] for recipe in used}),
        "base_model": len({recipes[recipe]["model"] for recipe in used}),
        "train_sft": seed_jobs * (by_trainer["sft"] + len(warmups)),  # one warm-up per recipe and seed
        "train_grpo": seed_jobs * by_trainer["grpo"],
        # Evaluated are the runs, and what the baselines start from.
        "sample": seed_jobs * (len(runs) + len(starts)),
        "grade": seed_jobs * (by_reward[True] + starts_by_reward[True]),
        "score_proteins": seed_jobs * (by_reward[False] + starts_by_reward[False]),
        "claims": 1,
        "report": 1,
        "all": 1,
    }
    for kind, rule in KINDS.items():
        counts[rule] = sum(entry["kind"] == kind for entry in chosen)
    counts["token_costs"] = counts["measure"]
    counts["table"] = len({entry["table"] for entry in chosen if "table" in entry})  # two experiments may share one
    counts["figure"] = sum(drawn_of(chosen).values())
    # Those over budgets N need the closed forms' alignment.
    aligned = [entry for entry in chosen if entry["kind"] == "comparison" and "alignment" in entry]
    counts["closed_forms"] = max(counts["closed_forms"], len({entry["alignment"] for entry in aligned}))
    counts["pass_rates"] = sum("pass_rates" in entry["figures"].values() for entry in aligned)
    return {rule: count for rule, count in counts.items() if count}


# rules whose jobs go through the seeds, all in one or each in its own
OF_SEEDS = ("train_sft", "train_grpo", "sample", "grade", "score_proteins")
# kind of experiment -> the rule that computes it
KINDS = {"comparison": "measure", "closed_form": "closed_forms", "diagonal": "measure_diagonal"}


def drawn_of(chosen):
    """Number of figures of each kind of some experiments."""
    return Counter(
        figure if isinstance(figure, str) else figure.get("draw", "rho")
        for entry in chosen
        for figure in entry["figures"].values()
    )


def seed_jobs(preset):
    """Number of jobs that go through the seeds of a preset."""
    return 1 if preset["seeds_in_one_job"] else len(preset["seeds"])


def warmups_of(runs, recipes):
    """The recipes whose warm-ups some runs start from."""
    named = {recipes[recipe].get("warmup_recipe", recipe) for recipe, _ in runs}
    return {recipe for recipe in named if recipes[recipe]["warmup"] is not None}


def starts_of(chosen):
    """The recipes whose start is evaluated: of the baselines of some experiments' comparisons."""
    return {
        entry["recipe"] if isinstance(entry["recipe"], str) else entry["baseline"]
        for entry in chosen
        if entry["kind"] == "comparison"
    }


def runs_of(chosen):
    """Recipe and objective of every run that some experiments look at."""
    runs = set()
    for entry in chosen:
        if entry["kind"] == "comparison":
            objectives = [*entry["objectives"], *entry.get("beyond_paper", [])]
            recipes = [entry["recipe"]] if isinstance(entry["recipe"], str) else entry["recipe"]
            runs |= {(recipe, objective) for recipe in recipes for objective in objectives}
        elif entry["kind"] == "diagonal":
            runs |= {(figure["recipe"], figure["objective"]) for figure in entry["figures"].values()}
    return runs
