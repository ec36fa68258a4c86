"""Evaluation pools of the runs, and, as objective `start`, of what they start from."""


rule sample:
    input:
        base=base_model,
        models=sampled_models,
        problems=problems_of(PRESET["split"]),
    output:
        of_runs("samples"),
    log:
        f"{RESULTS}/logs/sample/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample/{{recipe}}/{{objective}}/{SEED}.tsv"
    priority: 30
    conda:
        {"transformers": "../../envs/compute_aligned.yaml", "vllm": "../../envs/vllm.yaml"}[PRESET["sampling_backend"]]
    threads: RESOURCES["sample"]["threads"]
    resources:
        mem_mb=RESOURCES["sample"]["mem_mb"],
        runtime=RESOURCES["sample"]["runtime"],
        gpu=RESOURCES["sample"]["gpu"],
    params:
        settings=settings_of_runs(sampling_settings, "recipe"),
        runs=names_of_runs,
        checkpoints=LAYOUT.checkpoints,
        # The other backend's code counts for nothing.
        code=code_of(
            "sample.py",
            unused=[
                {"transformers": "sampling.vllm_backend", "vllm": "sampling.transformers_backend"}[
                    PRESET["sampling_backend"]
                ]
            ],
        ),
    message:
        f"Sampling {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/sample.py"
