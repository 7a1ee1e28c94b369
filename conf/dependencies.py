#!/usr/bin/env python3
"""Checks the dependencies that are built into the gateway against deny.toml, or lists them as a CycloneDX SBOM.

    conf/dependencies.py                  licences, bans and sources; ends with 1 if something is not allowed
    conf/dependencies.py --sbom > sallyport.cdx.json
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGISTRY = "registry+"


def built_in():
    """The packages that the release binary is made of: no tests, no benchmarks."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root = metadata["resolve"]["root"]
    reached, waiting = set(), [root]
    while waiting:
        current = waiting.pop()
        if current in reached:
            continue
        reached.add(current)
        for dependency in nodes[current]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return packages[root], [packages[one] for one in sorted(reached - {root})]


def allowed(expression, allow):
    """Whether an SPDX expression can be met by allowed licences alone."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression or "")
    position = 0

    def either():
        nonlocal position
        met = both()
        while position < len(tokens) and tokens[position] in ("OR", "/"):
            position += 1
            met = both() or met
        return met

    def both():
        nonlocal position
        met = one()
        while position < len(tokens) and tokens[position] == "AND":
            position += 1
            met = one() and met
        return met

    def one():
        nonlocal position
        token = tokens[position]
        position += 1
        if token == "(":
            met = either()
            position += 1
            return met
        if position + 1 < len(tokens) and tokens[position] == "WITH":
            token = f"{token} WITH {tokens[position + 1]}"
            position += 2
        return token in allow

    return bool(tokens) and either()


def check(packages):
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    allow = set(policy["licenses"]["allow"])
    banned = {entry["crate"] for entry in policy["bans"]["deny"]}
    registries = {REGISTRY + url for url in policy["sources"]["allow-registry"]}
    faults = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not allowed(package["license"], allow):
            faults.append(f"{name}: the licence {package['license']!r} is not in deny.toml")
        if package["name"] in banned:
            faults.append(f"{name}: banned in deny.toml")
        inside = package["source"] is None and pathlib.Path(package["manifest_path"]).is_relative_to(ROOT)
        if not inside and package["source"] not in registries:
            faults.append(f"{name}: comes from {package['source']}")
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} dependencies, {len(faults)} not allowed")
    return 1 if faults else 0


def sbom(root, packages):
    def component(package, kind):
        entry = {
            "type": kind,
            "bom-ref": f"pkg:cargo/{package['name']}@{package['version']}",
            "name": package["name"],
            "version": package["version"],
            "purl": f"pkg:cargo/{package['name']}@{package['version']}",
        }
        if package["license"]:
            entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        return entry

    lock = (ROOT / "Cargo.lock").read_bytes()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, lock.hex())}",
        "version": 1,
        "metadata": {"component": component(root, "application")},
        "components": [component(package, "library") for package in packages],
    }
    json.dump(document, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(sbom(*built_in()) if sys.argv[1:] == ["--sbom"] else check(built_in()[1]))
