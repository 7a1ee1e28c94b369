#!/usr/bin/env bash
# Runs a command with TEST_DATABASE_URL naming a throwaway PostgreSQL cluster, unless it names one already.
set -euo pipefail

if [[ -n ${TEST_DATABASE_URL:-} ]]; then
    exec "$@"
fi
initdb=$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)
bin=$(dirname "$initdb")
directory=$(mktemp -d)
as=()
if [[ $(id -u) -eq 0 ]]; then # PostgreSQL refuses to run as root
    chown nobody "$directory"
    as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
stop() {
    "${as[@]}" "$bin/pg_ctl" -D "$directory/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap stop EXIT
cd "$directory"
"${as[@]}" "$initdb" -D "$directory/data" -U sallyport -A trust --no-sync >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$directory/data" -w -s -l "$directory/log" start \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$directory -c fsync=off"
cd "$OLDPWD"
TEST_DATABASE_URL="postgres://sallyport@127.0.0.1:$port/postgres" "$@"
