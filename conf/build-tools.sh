#!/usr/bin/env bash
# Makes sure that the given commands are there. On Debian and Ubuntu as root it installs what is missing; elsewhere it
# says what to install. Arguments: pairs of a command and the Debian package that has it.
set -euo pipefail

missing=()
while (($# >= 2)); do
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
    shift 2
done
if ((${#missing[@]})); then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing ${missing[*]}" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
    else
        echo "Please install: ${missing[*]}" >&2
        exit 1
    fi
fi
command -v cargo >/dev/null 2>&1 || { echo "Please install Rust 1.95 or newer: https://rustup.rs" >&2; exit 1; }
