"""A small results folder made by hand: artifacts of every kind, and the manifests of the jobs that made them."""

import json

from compute_aligned.provenance.hashing import describe
from compute_aligned.provenance.job import installed_versions
from compute_aligned.provenance.manifests import manifest_digest

ROOT = "results/mini"
VERSIONS = installed_versions()
TABLE = """experiment,arm,metric,k,unit,value,low,high,difference,difference_low,difference_high
e,ce,pass,1,%,10,8,12,0,,
e,pass_n4,pass,1,%,9,7,11,-1,-2,0
"""
CLAIMS = "claim,experiment,verdict,reason\nC01,e,reproduced,As it was said.\nC02,other,inconclusive,Too few.\n"


class Results:
    """A results folder made by hand: each job's files and manifest."""

    def __init__(self, folder):
        self.folder = folder
        self.hour = 0

    def make(self, rule, outputs, inputs=(), wildcards=None, **params):
        """Write outputs (path -> content, a mapping for a folder) and the manifest of the job that made them."""
        self.hour += 1
        root = self.folder / ROOT
        for path, content in outputs.items():
            for file, text in content.items() if isinstance(content, dict) else [("", content)]:
                (root / path / file).parent.mkdir(parents=True, exist_ok=True)
                (root / path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        made = {entry["path"]: job for job in self.manifests() for entry in job["outputs"]}
        manifest = {
            "rule": rule,
            "wildcards": wildcards or {},
            "params": {"code": "0123456789abcdef", **params},
            "inputs": [self.entry(path, made.get(path)) for path in inputs],
            "outputs": [self.entry(f"{ROOT}/{path}") for path in outputs],
            "started": f"2026-01-01T{self.hour:02d}:00:00",
            "ended": f"2026-01-01T{self.hour:02d}:30:00",
            "git": {"commit": "c" * 40, "dirty": False},
            "packages": dict(VERSIONS),
            "python": "3.11.7",
            "host": "laptop",
        }
        name = "_".join((wildcards or {}).values()) or "all"
        file = root / "provenance" / rule / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(manifest))

    def entry(self, path, source=None):
        digest = {} if source is None else {"manifest": manifest_digest(source)}
        return describe(self.folder / path) | {"path": path} | digest

    def manifests(self):
        return [json.loads(file.read_text()) for file in (self.folder / ROOT / "provenance").rglob("*.json")]

    def __truediv__(self, path):
        return self.folder / ROOT / path

    def change_manifest(self, rule, change, name="all"):
        file = self / f"provenance/{rule}/{name}.json"
        manifest = json.loads(file.read_text())
        change(manifest)
        file.write_text(json.dumps(manifest))


def small_results(folder):
    """Weights, samples, scores, metrics, a table, a figure, claims and the page; by-products; config beside them."""
    results = Results(folder)
    (folder / "config").mkdir()
    (folder / "config" / "reported.csv").write_text("k,value\n1,2\n")
    results.make("train_sft", {"models/r/ce/seed1": {"config.json": "{}", "model.safetensors": "weights"}})
    results.make("sample", {"samples/r/ce/seed1.parquet": "samples"}, [f"{ROOT}/models/r/ce/seed1"], max_new_tokens=16)
    results.make("grade", {"scores/r/ce/seed1.parquet": "scores"}, [f"{ROOT}/samples/r/ce/seed1.parquet"])
    metrics = {"metrics/e.csv": "k,value\n1,10\n", "metrics/e.summary.csv": "k\n1\n", "metrics/e.problems.parquet": "p"}
    results.make("measure", metrics, [f"{ROOT}/scores/r/ce/seed1.parquet", "config/reported.csv"])
    tables = {f"tables/table2.{ending}": TABLE for ending in ("csv", "md", "tex")}
    results.make("table", tables, [f"{ROOT}/metrics/e.summary.csv"])
    results.make("closed_forms", {"metrics/f.variance.csv": "x\n1\n"})
    results.make("weight_table", {"tables/table1.csv": "strategy,x\npass,1\n"}, [f"{ROOT}/metrics/f.variance.csv"])
    results.make("alignment_table", {"tables/gain_table.csv": "n,k\n1,1\n"}, [f"{ROOT}/metrics/e.summary.csv"])
    figure = {"figures/fig1.png": b"\x89PNG\r\n\x1a\n\x00\xff", "figures/fig1.pdf": b"%PDF\xe2"}
    results.make("figure", figure, [f"{ROOT}/metrics/e.summary.csv"])
    read = [f"{ROOT}/metrics/e.summary.csv", f"{ROOT}/metrics/f.variance.csv"]
    files = {"e": {"summary": read[0]}, "other": {"variance": [read[1]]}}
    results.make("claims", {"claims.csv": CLAIMS}, read, files=files, claims={"a": "long " * 1000})
    results.make("report", {"report.html": "<html>"}, [f"{ROOT}/claims.csv", f"{ROOT}/tables/table2.md"])
    for file in ("logs/table/table2.log", "benchmarks/table.tsv", "checkpoints/0/r/training_record.json"):
        (results / file).parent.mkdir(parents=True, exist_ok=True)
        (results / file).write_text("a by-product")
    return results
