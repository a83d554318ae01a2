#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the sources to the README's code map: a folder includes those above it and the libraries of its row only."""
import pathlib
import re
import sys

# How the code map calls a library, and its headers. OpenSSL and the TPM's types are for all.
LIBRARIES = {
    "protobuf": r"google/protobuf/",
    "tss2-mu": r"tss2/tss2_mu\.h",
    "tss2-esys": r"tss2/(?!tss2_mu|tss2_tpm2_types)",
    "libsystemd": r"systemd/",
    "libeconf": r"libeconf",
    "Boost.Asio": r"boost/(?!beast)",
    "Beast": r"boost/beast",
    "libqrencode": r"qrencode\.h",
    "SQLite": r"SQLiteCpp/|sqlite3",
    "libpq": r"libpq-fe",
    "CLI11": r"CLI/",
    "nlohmann-json": r"nlohmann/",
    "toml11": r"toml\.hpp",
}


def code_map(readme):
    """Folders in the order of the table, each with the libraries of its row."""
    rows = re.findall(r"^\| `([a-z/]+)` \|[^|]*\|([^|]*)\|$", readme.read_text(), re.MULTILINE)
    return {folder: {name.strip() for name in libraries.split(",") if name.strip()} for folder, libraries in rows}


def folder_of(path, folders):
    """The folder of the map that a path lies in: the innermost one."""
    inside = [folder for folder in folders if path.startswith(folder + "/")]
    return max(inside, key=len, default=None)


def faults_of(path, text, folders):
    own = folder_of(path, folders)
    if own is None:
        yield f"{path}: its folder is not in the code map"
        return
    order = list(folders)
    for included in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        target = folder_of(included, folders)
        if target is None or order.index(target) > order.index(own):
            yield f"{path}: includes {included}, which is not above {own}"
    for header in re.findall(r"^#include <([^>]+)>", text, re.MULTILINE):
        for library, headers in LIBRARIES.items():
            if re.match(headers, header) and library not in folders[own]:
                yield f"{path}: includes {header}; {own} may not use {library}"
    if "tss2-esys" not in folders[own] and re.search(r"\bEsys_\w+\(", text):
        yield f"{path}: calls Esys_*"


def main(root):
    folders = code_map(root / "README.md")
    faults = [f"the code map names an unknown library: {name}" for libraries in folders.values()
              for name in libraries - LIBRARIES.keys() - {"OpenSSL", "GoogleTest", "swtpm"}]
    built = [folder for folder in re.findall(r"^ *subdir\('([a-z/]+)'\)", (root / "meson.build").read_text(), re.MULTILINE)
             if folder in folders]
    if not built or built != [folder for folder in folders if folder in built]:
        faults.append("meson.build has another order than the code map")
    sources = [path for top in sorted({folder.split("/")[0] for folder in folders} - {"tests"})
               for path in sorted((root / top).rglob("*")) if path.suffix in (".h", ".cpp")]
    if not sources:
        faults.append("there are no sources")
    for path in sources:
        faults += faults_of(path.relative_to(root).as_posix(), path.read_text(), folders)
    print("\n".join(faults) or f"{len(sources)} files keep to the code map")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
