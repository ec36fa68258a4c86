"""The runs of a job that goes through several seeds: its parts, and what of it is kept when Snakemake deletes it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params

from compute_aligned.provenance.runs import entries_of, forget, keep, named, narrow, of_seeds, put_back


def in_lists(kind, **lists):
    """Snakemake's named list of files, some of whose names stand for several."""
    files = kind()
    for name, value in lists.items():
        start = len(files)
        files.extend([value] if isinstance(value, str) else value)
        files._set_name(name, start, None if isinstance(value, str) else len(files))
    return files


SEEDS = (1, 2, 30)


@pytest.mark.parametrize("shared", [False, True])
def test_a_job_is_left_the_runs_of_some_seeds_under_the_names_that_its_script_knows(shared):
    starts = ["m/base"] * 3 if shared else [f"m/w/seed{seed}" for seed in SEEDS]
    models, records = ([f"{stage}/seed{seed}{end}" for seed in SEEDS] for stage, end in (("m", ""), ("t", ".parquet")))
    snakemake = SimpleNamespace(
        input=in_lists(InputFiles, base="m/base", starts=starts, problems="d/train.parquet"),
        output=in_lists(OutputFiles, models=models, records=records),
        params=Params(fromdict={"settings": [{"seed": seed} for seed in SEEDS], "code": "abc"}),
    )
    job = {
        "params": {key: value[:] for key, value in snakemake.params.items()},
        "inputs": entries_of(snakemake.input),
        "outputs": entries_of(snakemake.output),
    }
    narrow(snakemake, [2, 30])
    assert list(snakemake.input.starts) == starts[1:] and snakemake.input.problems == "d/train.parquet"
    assert (list(snakemake.output.models), list(snakemake.output.records)) == (models[1:], records[1:])
    assert snakemake.params.settings == [{"seed": 2}, {"seed": 30}] and snakemake.params.code == "abc"
    part = of_seeds(job, [2, 30])
    assert part["params"] == dict(snakemake.params.items())
    assert {entry["path"] for entry in part["inputs"]} == set(snakemake.input)
    assert {entry["path"] for entry in part["outputs"]} == set(snakemake.output)


def test_files_without_names_are_one_per_run():
    files = OutputFiles([f"s/seed{seed}.parquet" for seed in SEEDS])
    snakemake = SimpleNamespace(input=InputFiles(), output=files, params=Params())
    narrow(snakemake, [30])
    assert list(snakemake.output) == ["s/seed30.parquet"]


def test_what_is_deleted_is_put_back_and_takes_no_room_twice(tmp_path):
    folder, file, other = (
        str(tmp_path / path) for path in ("models/a/seed1", "scores/a/seed1.parquet", "figures/a.pdf")
    )
    Path(folder).mkdir(parents=True)
    for path in (Path(folder, "weights"), Path(folder, ".snakemake_timestamp"), Path(file), Path(other)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    paths = [folder, file, other]
    keep(paths, tmp_path)
    assert Path(file).stat().st_nlink == 2
    Path(folder, "weights").unlink()
    Path(folder, ".snakemake_timestamp").unlink()
    Path(folder).rmdir()
    Path(file).unlink()
    keep(paths, tmp_path)  # of a run that failed: what it kept stays
    assert put_back(paths, tmp_path)
    assert [path.name for path in Path(folder).iterdir()] == ["weights"]
    assert Path(file).read_text() == "seed1.parquet"
    forget(paths, tmp_path)
    assert Path(file).stat().st_nlink == 1 and list((tmp_path / "checkpoints").iterdir()) == []
    assert not put_back(paths, tmp_path)


def test_seeds_are_named_in_few_letters():
    assert named([6]) == "6" and named({3, 1, 2, 7, 9, 8, 20}) == "1-3,7-9,20"
