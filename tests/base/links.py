#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follows the links of the papers (*.md): a relative one leads to a file of the tree, an anchor to a heading in it."""
import pathlib
import re
import sys


def without_code(text):
    return re.sub(r"^(    |```).*$", "", text, flags=re.MULTILINE)


def anchors(text):
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def faults_of(paper, root):
    text = paper.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (paper.parent / path).resolve() if path else paper
        if not target.is_relative_to(root) or not target.exists():
            yield f"{paper.relative_to(root)}: there is no {link}"
        elif anchor and anchor not in anchors(target.read_text()):
            yield f"{paper.relative_to(root)}: {link}: there is no such heading"


def main(root):
    tops = [top for top in sorted(root.iterdir()) if top.is_dir() and top.name != "build" and top.name[0] != "."]
    papers = [*sorted(root.glob("*.md")), *(path for top in tops for path in sorted(top.rglob("*.md")))]
    faults = [fault for paper in papers for fault in faults_of(paper, root)]
    print("\n".join(faults) or f"the links of {len(papers)} papers lead somewhere")
    return 1 if faults or not papers else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
