"""Tables and figures: drawn from an experiment's metrics alone, so that a redraw takes seconds."""


localrules:
    table,
    figure,


rule table:
    input:
        summary=metrics_of_item("summary"),
        weights=metrics_of_item("weights"),
    output:
        csv=f"{RESULTS}/tables/{{item}}.csv",
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{item}}.tsv"
    wildcard_constraints:
        item="|".join(experiment["table"] for experiment in EXPERIMENTS.values()),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        title=lambda wildcards: EXPERIMENTS[EXPERIMENT_OF[wildcards.item]]["title"],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("make_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_table.py"


rule figure:
    input:
        summary=metrics_of_item("summary"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{item}}.tsv"
    wildcard_constraints:
        item="|".join(figure for experiment in EXPERIMENTS.values() for figure in experiment["figures"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        kind=lambda wildcards: EXPERIMENTS[EXPERIMENT_OF[wildcards.item]]["figures"][wildcards.item],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_figure.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_figure.py"
