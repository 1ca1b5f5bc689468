"""`python -m exuvia.app.manifests [--check]`: write crds/ and deploy/ anew, or say which files are stale (exit 1)."""

from __future__ import annotations

import sys
from pathlib import Path

from exuvia.app.manifests import tree


def main(arguments: list[str]) -> int:
    """Write or check the generated files below the current folder."""
    root = Path.cwd()
    files = tree.files()
    stale = [path for path, text in files.items() if not _same(root / path, text)]
    extra = list(tree.strangers(root, files))
    if "--check" in arguments:
        for path in stale + extra:
            print(f"stale: {path}; run `make manifests`")
        return 1 if stale or extra else 0
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")
        print(f"wrote {path}")
    for path in extra:
        (root / path).unlink()
        print(f"removed {path}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


sys.exit(main(sys.argv[1:]))
