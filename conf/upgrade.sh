#!/usr/bin/env bash
# Replaces a running gateway by a new process, with what the configuration and the program are now, and loses no request.
#
#   upgrade.sh [--or-reload] [CONFIG]          default: $SALLYPORT_CONFIG, else conf/sallyport.yaml
#
# With --or-reload a process that runs the very program on disk is only told to read its configuration anew (SIGHUP). Ends
# with 1 if the process refused it and keeps to the configuration before.
#
# The configuration needs server.pidFile and server.upgradeSocket. The program is $SALLYPORT, else sallyport on the PATH.
# The old process is asked to leave only after the new one is ready to take its listeners; it stays otherwise. The new
# process inherits what this script writes to.
set -euo pipefail

or_reload=
if [[ ${1:-} == --or-reload ]]; then
    or_reload=yes
    shift
fi
config=${1:-${SALLYPORT_CONFIG:-conf/sallyport.yaml}}
program=${SALLYPORT:-sallyport}

fail() {
    echo "upgrade: $1" >&2
    exit 1
}

alive() { [[ $(cat "/proc/$1/stat" 2>/dev/null) == *') '[^ZX]* ]]; }

# What the configuration says, or why it cannot be used.
derived=$("$program" check --config "$config") || fail "the configuration cannot be used; the gateway runs on as it is"
value() { sed -n "s/^  $1  *//p" <<<"$derived"; }
pid_file=$(value 'pid file')
socket=$(value 'upgrade socket')
[[ -n $pid_file && -n $socket ]] || fail "server.pidFile and server.upgradeSocket are needed in $config"
old=$(cat "$pid_file" 2>/dev/null) || fail "$pid_file cannot be read; is the gateway running?"
alive "$old" || fail "process $old of $pid_file does not run"
if [[ -n $or_reload && "/proc/$old/exe" -ef $(command -v "$program") ]]; then
    rm -f "$socket.reload"
    kill -HUP "$old"
    for _ in $(seq 600); do
        [[ -e $socket.reload ]] && break
        alive "$old" || fail "process $old has ended; see its log"
        sleep 0.05
    done
    outcome=$(cat "$socket.reload" 2>/dev/null) || fail "process $old has not read its configuration for half a minute; see its log"
    [[ $outcome == reloaded ]] || fail "process $old keeps to the configuration before: $outcome"
    echo "upgrade: process $old has read its configuration anew"
    exit
fi

# No child of this script: systemd waits only for the end of a process that is its own when it is told of it.
exec 3>&1
new=$("$program" run --upgrade --config "$config" </dev/null >&3 3>&- & echo $!)
exec 3>&-

# Ready, or gone, or too slow.
for _ in $(seq 1200); do
    [[ $(cat "$socket.next" 2>/dev/null) == "$new" ]] && break
    alive "$new" || fail "the new process ended before it was ready; process $old runs on"
    sleep 0.05
done
if [[ $(cat "$socket.next" 2>/dev/null) != "$new" ]]; then
    kill "$new" 2>/dev/null || true
    fail "the new process was not ready within a minute; process $old runs on"
fi

kill -QUIT "$old"
for _ in $(seq 300); do
    [[ $(cat "$pid_file" 2>/dev/null) == "$new" ]] && break
    alive "$new" || fail "the new process ended while it took over; see its log, and whether $old still runs"
    sleep 0.05
done
[[ $(cat "$pid_file" 2>/dev/null) == "$new" ]] || fail "the new process did not take over; see its log, and whether $old still runs"
echo "upgrade: process $new serves, process $old leaves when what is open there has come to its end"
