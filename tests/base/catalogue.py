#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the threat model's catalogue to the tests: every attack names tests of its own number, and all of them exist."""
import pathlib
import re
import sys

ROW = re.compile(r"^\| (\d+) \|[^|]*\|[^|]*\|([^|]*)\|$", re.MULTILINE)
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)


def tests_in(root):
    sources = sorted((root / "tests").rglob("*.cpp"))
    return {f"{suite}.{name}" for path in sources for suite, name in TEST.findall(path.read_text())}


def faults_of(number, named, tests):
    if not named:
        yield f"attack {number} names no test"
    for test in named:
        if test not in tests:
            yield f"attack {number}: there is no test {test}"
        elif f"Attack{int(number):02}" not in test:
            yield f"attack {number}: {test} does not carry its number"


def main(root):
    tests = tests_in(root)
    rows = ROW.findall((root / "daemon/threat-model.md").read_text())
    faults = [fault for number, cell in rows for fault in faults_of(number, re.findall(r"`([\w.]+)`", cell), tests)]
    if [int(number) for number, _ in rows] != list(range(1, len(rows) + 1)) or not rows:
        faults.append("the catalogue's numbers do not follow each other")
    unknown = {number for test in tests for number in re.findall(r"Attack(\d\d)", test) if int(number) > len(rows)}
    faults += [f"tests carry the number {number}, which the catalogue does not have" for number in sorted(unknown)]
    print("\n".join(faults) or f"{len(rows)} attacks have their tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
