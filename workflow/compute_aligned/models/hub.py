"""The Hugging Face hub: a branch or tag becomes the commit that was really read."""


def commit_of(repository: str, revision: str, kind: str) -> str:
    """The commit hash that a revision of a repository stands for now.

    Args:
        repository: its id on the hub.
        revision: commit hash, branch or tag.
        kind: ``model`` or ``dataset``.

    Raises:
        ValueError: the hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import HfApi

    try:
        return HfApi().repo_info(repository, revision=revision, repo_type=kind).sha
    except Exception as error:  # no network, offline mode, no access, no such name: each client layer has its own
        raise ValueError(f"{repository} at {revision}: the hub gave no such {kind} ({type(error).__name__})") from error


def resolve_revision(repository: str, revision: str, kind: str) -> str:
    """As ``commit_of``, for a job that goes on to fetch the repository: the error names the way without a hub."""
    try:
        return commit_of(repository, revision, kind)
    except ValueError as error:
        local = {
            "model": "a local copy: source: {kind: folder, path: ...}",
            "dataset": "local copies as train_file and test_file in its source",
        }[kind]
        raise ValueError(f"{error}; without it, name {local}") from error
