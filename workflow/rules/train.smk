"""Training: the objective `warmup` starts from the base model, the others from a warm-up of their seed, if any."""


rule train_sft:
    input:
        base=base_model,
        starts=starts_of,
        problems=problems_of("train"),
    output:
        models=directory(of_each_seed(LAYOUT.model("{recipe}", "{objective}", "{seed}"))),
        records=of_runs("training"),
    log:
        f"{RESULTS}/logs/train_sft/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_sft/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        objective=one_of(PLAN.trained_by("sft")),
    priority: 40
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["train"]["threads"]
    resources:
        mem_mb=RESOURCES["train"]["mem_mb"],
        runtime=RESOURCES["train"]["runtime"],
        gpu=RESOURCES["train"]["gpu"],
    params:
        settings=settings_of_runs(training_settings, "recipe", "objective"),
        runs=names_of_runs,
        checkpoints=LAYOUT.checkpoints,
        code=code_of_training,
    message:
        f"Training {{wildcards.recipe}} on {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/train_sft.py"


rule train_grpo:
    input:
        base=base_model,
        starts=starts_of,
        problems=problems_of("train"),
    output:
        models=directory(of_each_seed(LAYOUT.model("{recipe}", "{objective}", "{seed}"))),
        records=of_runs("training"),
    log:
        f"{RESULTS}/logs/train_grpo/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_grpo/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        objective=one_of(PLAN.trained_by("grpo")),
    priority: 50
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["train"]["threads"]
    resources:
        mem_mb=RESOURCES["train"]["mem_mb"],
        runtime=RESOURCES["train"]["runtime"],
        gpu=RESOURCES["train"]["gpu"],
    params:
        settings=settings_of_runs(rl_settings, "recipe", "objective"),
        runs=names_of_runs,
        checkpoints=LAYOUT.checkpoints,
        code=code_of("train_grpo.py"),
    message:
        f"Training {{wildcards.recipe}} on {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/train_grpo.py"
