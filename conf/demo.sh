#!/usr/bin/env bash
# The README's first command: builds the gateway and runs it complete, with a sample MCP server behind it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash conf/build-tools.sh cc build-essential cmake cmake
exec cargo run --locked --profile trial --quiet -- demo "$@"
