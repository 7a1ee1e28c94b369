#!/usr/bin/env bash
# Installs what the build and the tests need on Debian or Ubuntu; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
need() { # command, Debian package
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need cc build-essential
need cmake cmake
need node nodejs
need npm npm
need python3 python3-venv
need chromium chromium
if ! command -v initdb >/dev/null 2>&1 && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing+=(postgresql)
fi
if ((${#missing[@]})); then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
    else
        echo "Please install: ${missing[*]}" >&2
        exit 1
    fi
fi
command -v cargo >/dev/null 2>&1 || { echo "Please install Rust 1.95 or newer: https://rustup.rs" >&2; exit 1; }

bash clients/install.sh
