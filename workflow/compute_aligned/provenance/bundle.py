"""One archive of a run that another machine audits and redraws from: `python -m compute_aligned bundle results/tiny`.

It holds what is shown and what it was drawn from, all manifests, the settings, and the RO-Crate where it was made.
`python -m compute_aligned bundle results/tiny-bundle.zip --unpack` lays it out as `results/tiny`, to redraw from.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from .artifacts import whole
from .hashing import describe
from .manifests import Manifests, readable_manifests, verify
from .published import PUBLISHED, in_folder, published_text, without_private

# Of a results folder: what a reader looks at; what that is drawn or judged from is found by the manifests.
SHOWN = ("tables/*", "figures/*", "metrics/*", "claims.csv", "report.html", "ro-crate-metadata.json", "Snakefile")
DRAWN = ("tables/*", "figures/*", "claims.csv")
SAMPLES = ("samples/*", "scores/*", "data/*")
SETTINGS = "settings"  # of a bundle: copies of what jobs read from outside the results folder, and the configuration
CONFIGURATION = "config/*.yaml"


def is_one_of(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path that manifests name is one of some files of the results folder."""
    return any(fnmatch(str(in_folder(name)), pattern) for pattern in patterns)


def bundled_names(manifests: dict[str, dict], samples: bool = False) -> set[str]:
    """The artifacts that a bundle holds, as the manifests call them.

    Args:
        manifests: of the results folder.
        samples: whether all samples, their scores and the problems are among them.
    """
    names = {name for name in manifests if is_one_of(name, SHOWN + (SAMPLES if samples else ()))}
    drawn = [manifest for name, manifest in manifests.items() if is_one_of(name, DRAWN)]
    return names | {entry["path"] for job in drawn for entry in job["inputs"] if entry["path"] in manifests}


def redrawing_rules(manifests: dict[str, dict]) -> list[str]:
    """The rules that make again what a bundle shows from what it holds."""
    return sorted({job["rule"] for name, job in manifests.items() if is_one_of(name, DRAWN)})


def write_bundle(root: Path, target: Path, samples: bool = False) -> list[str]:
    """Write the archive of a results folder, each artifact verified.

    Args:
        root: the results folder, named from where Snakemake runs.
        target: the archive.
        samples: as in ``bundled_names``.

    Returns:
        a sentence for each input from outside that is not in it.

    Raises:
        ValueError: the folder is none of a whole run, or something in it is not what its manifest says.
    """
    manifests = readable_manifests(root)
    if f"{root}/claims.csv" not in manifests:
        raise ValueError(f"{root}: no manifest of a claims.csv in it; wanted the folder of a whole run (results/tiny)")
    names = bundled_names(manifests, samples)
    for name in sorted(names):
        verify(Path(name), manifests)
    outside, left_out = _settings(manifests, root)
    with whole(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, PUBLISHED, published_text(manifests, names.__contains__).encode())
        for file in sorted({*manifests.files.values()}):
            text = json.dumps(without_private(json.loads(file.read_text())), indent=1) + "\n"
            _add(archive, str(file.relative_to(root)), text.encode())
        for file in outside:
            _add(archive, f"{SETTINGS}/{file}", file.read_bytes())
        for file in sorted(file for name in names for file in _files(Path(name))):
            _add(archive, str(file.relative_to(root)), file.read_bytes())
    return left_out


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Without its time: the same run gives the same archive.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _files(path: Path) -> list[Path]:
    inside = path.rglob("*") if path.is_dir() else [path]
    return [file for file in inside if file.is_file() and file.name != ".snakemake_timestamp"]


def _settings(manifests: Manifests, root: Path) -> tuple[list[Path], list[str]]:
    """What jobs read from outside the results folder, and the configuration; and what of it is left out, and why."""
    read: dict[Path, set[str]] = {}
    for job in manifests.values():
        for entry in job["inputs"]:
            if not Path(entry["path"]).is_relative_to(root):
                read.setdefault(Path(entry["path"]), set()).add(entry["sha256"])
    held, left_out = set(Path().glob(CONFIGURATION)), []
    for path, hashes in sorted(read.items()):
        if not path.is_file() or path.is_absolute() or ".." in path.parts:
            left_out.append(f"{path} is not in it: it is no file under this folder")
        elif hashes != {describe(path)["sha256"]}:
            left_out.append(f"{path} is not in it: it was changed since a job read it")
        else:
            held.add(path)
    return sorted(held), left_out


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a bundle as ``results/<preset>`` of a folder, and say where that is.

    Raises:
        ValueError: it is no bundle, or a cut one, or there is such a folder already.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            jobs = json.loads(content.read(PUBLISHED))
            root = into.joinpath(*Path(jobs[0]["outputs"][0]["path"]).parts[:2])
            if root.exists():
                raise FileExistsError(f"{archive}: {root} is there already; move it away first")
            content.extractall(root)
    except (KeyError, IndexError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{archive}: no bundle, or a cut one ({' '.join(str(error).split())})") from None
    return root


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m compute_aligned bundle", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="the results folder of a whole run; with --unpack a bundle")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--samples", action="store_true", help="with all samples, their scores and the problems")
    what.add_argument("--unpack", action="store_true", help="lay a bundle out as results/<preset>, to redraw from")
    asked = parser.parse_args()
    if asked.unpack:
        root = unpack(asked.path, Path())
        manifests = readable_manifests(root)
        command = manifests.get(f"{root}/report.html", {}).get("params", {}).get("command", "snakemake --cores 2")
        print(f"{root}: unpacked. To draw everything again from it:")
        print(f"{command} --forceall --allowed-rules redraw {' '.join(redrawing_rules(manifests))} -- redraw")
        return
    root = asked.path
    target = root.with_name(f"{root.name}-bundle.zip")
    notes = write_bundle(root, target, asked.samples)
    print("\n".join([*notes, f"{target}: {target.stat().st_size / 1e6:.1f} MB"]))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"bundle: {error}")
