"""Tables and figures: drawn from an experiment's metrics alone, so that a redraw takes seconds. Claims: judged by them."""


localrules:
    table,
    figure,
    report,
    claims,


rule report:
    input:
        claims=LAYOUT.claims,
        shown=[file for item in PLAN.experiments_of for file in PLAN.item_files(item)],
        metrics=PLAN.page_metrics(),
        records=PLAN.page_records(),
        template=TEMPLATE,
    output:
        report(
            LAYOUT.report,
            caption="../report/report.rst",
            category="Claims",
            labels={"item": "everything on one page", "kind": "page"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset={key: PRESET[key] for key in ("preset", "split", "seeds", "models", "data")},
        experiments=PLAN.page(),
        left_out=[name for name in SETTINGS["experiments"] if name not in EXPERIMENTS],
        command=command_of(workflow.configfiles, workflow.config_settings.config),
        results=lambda wildcards, input: str(Path(input.claims).parent),
        code=code_of("make_report.py"),
    message:
        "The page {output}"
    script:
        "../scripts/make_report.py"


rule table:
    input:
        unpack(read_for_item),
    output:
        csv=report(
            LAYOUT.table("{item}", "csv"),
            caption="../report/table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=LAYOUT.table("{item}", "md"),
        latex=LAYOUT.table("{item}", "tex"),
    log:
        f"{RESULTS}/logs/table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.tables),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        function=lambda wildcards: PLAN.made_by(wildcards.item).function,
        told=lambda wildcards: PLAN.told(wildcards.item),
        code=code_of_item("make_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_table.py"


rule figure:
    input:
        unpack(read_for_item),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
        caption=LAYOUT.figure("{item}", "caption.md"),
    log:
        f"{RESULTS}/logs/figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        function=lambda wildcards: PLAN.made_by(wildcards.item).function,
        told=lambda wildcards: PLAN.told(wildcards.item),
        code=code_of_item("draw_figure.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_figure.py"


rule claims:
    input:
        flattened(PLAN.deciding_files),
    output:
        report(
            LAYOUT.claims,
            caption="../report/claims.rst",
            category="Claims",
            labels={"item": "claims", "kind": "table"},
        ),
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        claims=SETTINGS["claims"],
        files=PLAN.deciding_files,
        baselines=PLAN.baseline_records(),
        preset=PRESET["preset"],
        code=code_of("judge_claims.py"),
    message:
        "Claims of the paper, judged"
    script:
        "../scripts/judge_claims.py"
