#!/usr/bin/env bash
# The README's second command: installs what the tests need, then runs all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tests/install.sh
cargo test --locked
cargo build --locked
target_directory=$(cargo metadata --format-version 1 --no-deps --locked | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')
cargo build --locked --manifest-path tests/clients/drivers/rmcp/Cargo.toml --target-dir "$target_directory"
SALLYPORT_BIN="$target_directory/debug/sallyport" bash tests/with-postgres.sh \
    node --test --test-reporter=spec tests/clients/run.mjs
(cd tests/clients && SALLYPORT_BIN="$target_directory/debug/sallyport" node --test --test-reporter=spec conformance/run.mjs)
SALLYPORT_BIN="$target_directory/debug/sallyport" node tests/soak/run.mjs --minutes 0.8 --streams 200 --users 10 --callers 4
