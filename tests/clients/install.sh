#!/bin/sh
# Installs what the client tests need: node_modules, two Python environments, Chromium. Safe to repeat.
set -eu
cd "$(dirname "$0")"

missing=
command -v node >/dev/null && command -v npm >/dev/null || missing="$missing nodejs npm"
command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing="$missing chromium"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        apt-get update
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    else
        echo "missing Debian packages, to be installed by root: apt-get install$missing" >&2
        exit 1
    fi
fi
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || {
    echo "node $(node --version) is too old, 20 is the least" >&2
    exit 1
}

# A stamp of what was installed makes a second run a matter of milliseconds.
stamp() { cat "$@" | cksum; }

want=$(stamp package.json package-lock.json)
if [ "$(cat node_modules/.stamp 2>/dev/null)" != "$want" ]; then
    npm ci --no-audit --no-fund
    echo "$want" > node_modules/.stamp
fi

environment() {
    want=$(stamp "$2")
    if [ "$(cat "$1/.stamp" 2>/dev/null)" != "$want" ]; then
        python3 -m venv --clear "$1"
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
        echo "$want" > "$1/.stamp"
    fi
}
environment .venv/main requirements.txt
environment .venv/mcp-v1 requirements-mcp-v1.txt
