"""Another repository uses this one as a Snakemake module."""

import subprocess
import sys

import yaml
from conftest import REPO

SNAKEFILE = """
configfile: "mine.yaml"


module cat:
    snakefile:
        "{repository}/Snakefile"
    config:
        config


use rule * from cat


rule mine:
    input:
        "results/mine/tables/table1.csv",
    output:
        "mine.txt",
    shell:
        "wc -l {{input}} > {{output}}"
"""


def test_a_rule_of_another_repository_uses_a_table_of_ours(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(repository=REPO))
    preset = yaml.safe_load((REPO / "config/tiny.yaml").read_text()) | {"preset": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(preset))
    command = [sys.executable, "-m", "snakemake", "mine.txt", "--cores", "1", "--quiet", "rules"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int((tmp_path / "mine.txt").read_text().split()[0]) > 1
    assert (tmp_path / "results/mine/provenance").is_dir()
    assert not (REPO / "results/mine").exists()
