#!/usr/bin/env bash
# Installs what the build and the tests need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PATH="$PATH:/usr/sbin:$(printf '%s:' /usr/lib/postgresql/*/bin)" bash ../conf/build-tools.sh \
    cc build-essential cmake cmake node nodejs npm npm python3 python3-venv chromium chromium initdb postgresql haproxy haproxy
bash clients/install.sh
