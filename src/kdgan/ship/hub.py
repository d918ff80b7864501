"""An exported student on the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from kdgan.errors import wrong
from kdgan.extras import needed

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def check_name(name: str) -> None:
    """Raises a UsageError for what cannot be the name of a repository, or where the library is missing."""
    if not _NAME.fullmatch(name) or ".." in name or "--" in name:
        raise wrong(f"{name[:200]!r} is no name on the Hub: write OWNER/NAME with letters, digits, - _ and .")
    needed("huggingface_hub", "hub", "--to-hub")


def send(name: str, file: Path, card: str) -> str:
    """Sends a file and its card, as README.md, to a model repository, which is made if there is none; private then.

    The token is the one that `hf auth login` or HF_TOKEN gives; HF_ENDPOINT says where, if not to huggingface.co.

    Args:
        name: `OWNER/NAME`, or `NAME` of one's own.
        file: the exported student.
        card: Markdown.

    Returns:
        The address of what was sent.

    Raises:
        UsageError: if that is refused, or nobody answers.
    """
    check_name(name)
    library = needed("huggingface_hub", "hub", "--to-hub")
    api: Any = library.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        made = api.create_repo(name, private=True, exist_ok=True)
        whole = made.repo_id
        parts = [
            library.CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=str(file)),
            library.CommitOperationAdd(path_in_repo="README.md", path_or_fileobj=card.encode()),
        ]
        sent = api.create_commit(whole, parts, commit_message=f"{file.name}, exported by kdgan")
    except Exception as error:  # of any kind: those of the network have no common base
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        token = library.get_token()
        if token:
            said = said.replace(token, "…")
        raise wrong(f"{name} cannot be sent to the Hub: {said[:300]}; {file} stays here") from error
    return str(sent.repo_url if hasattr(sent, "repo_url") else made)
