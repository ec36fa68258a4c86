"""What Snakemake should plan, counted from the configuration alone."""


def shrink(tiny):
    """The content of the preset `seconds`: tiny's, shrunk until a job takes little more than its imports."""
    preset = tiny | {"preset": "seconds", "seeds": [1, 2]}
    preset["models"]["math"]["source"]["architecture"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    preset["data"]["math"]["sizes"] = {"train": 60, "validation": 8, "test": 8}
    for recipe in preset["recipes"].values():
        recipe |= {"train_problems": recipe["train_problems"] and 60, "warmup_epochs": 2, "epochs": 2}
        recipe |= {"batch_size": 8, "micro_batch_size": 8, "checkpoint_steps": 5}
        recipe["evaluation"] |= {"problems": 4, "samples": 8, "rows_per_batch": 64, "problems_per_shard": 4}
        if "success_rate" in recipe:
            recipe["success_rate"] = {"samples": 2, "refresh_epochs": 1}
    for experiment in preset["experiments"].values():
        if "k" in experiment:
            experiment["k"] = [1, 4]
    evaluation = preset["recipes"]["math_sft_pass"]["evaluation"]
    evaluation |= {"problems": 8}  # two shards
    return preset


def jobs_of(chosen, recipes, seed_jobs):
    """Jobs per rule that everything of some experiments needs, from nothing.

    `chosen` are their entries in experiments.yaml, `recipes` the content of recipes.yaml, `seed_jobs` the number of
    jobs that go through the seeds: all of them in one, or each in its own.
    """
    runs = runs_of(chosen)
    tasks = {recipes[recipe]["task"] for recipe, _ in runs}
    counts = {
        "problems": len(tasks),
        "base_model": len(tasks),
        "train_sft": seed_jobs * (len(runs) + len({recipe for recipe, _ in runs})),  # one warm-up per recipe and seed
        "sample": seed_jobs * len(runs),
        "grade": seed_jobs * len(runs),
        "all": 1,
    }
    for kind, (compute, table, figure) in KINDS.items():
        entries = [entry for entry in chosen if entry["kind"] == kind]
        counts[compute] = len(entries)
        counts[table] = sum("table" in entry for entry in entries)
        counts[figure] = sum(len(entry["figures"]) for entry in entries)
    return {rule: count for rule, count in counts.items() if count}


# kind of experiment -> the rules that compute it, write its table and draw its figures
KINDS = {
    "comparison": ("measure", "table", "figure"),
    "closed_form": ("closed_forms", "weight_table", "weight_figure"),
    "diagonal": ("measure_diagonal", "no table", "diagonal_figure"),
}


def seed_jobs(preset):
    """Number of jobs that go through the seeds of a preset."""
    return 1 if preset["seeds_in_one_job"] else len(preset["seeds"])


def runs_of(chosen):
    """Recipe and objective of every run that some experiments look at."""
    runs = set()
    for entry in chosen:
        if entry["kind"] == "comparison":
            objectives = [*entry["objectives"], *entry.get("beyond_paper", [])]
            runs |= {(entry["recipe"], objective) for objective in objectives}
        elif entry["kind"] == "diagonal":
            runs |= {(figure["recipe"], figure["objective"]) for figure in entry["figures"].values()}
    return runs
