#!/bin/sh
# Secrets come as files of the volume /keys (docker/keys.sh); a variable that is set goes before its file.
set -eu
secret() { if [ -r "/keys/$1" ]; then cat "/keys/$1"; fi; }
export ENVSERVER_TOKEN="${ENVSERVER_TOKEN:-$(secret token)}"
export PGPASSWORD="${PGPASSWORD:-$(secret password)}"
# An empty token would be refused: without one, ports are not guarded.
[ -n "$ENVSERVER_TOKEN" ] || unset ENVSERVER_TOKEN
export SKILLS_TOKEN="${SKILLS_TOKEN:-${ENVSERVER_TOKEN:-}}"
[ -n "$SKILLS_TOKEN" ] || unset SKILLS_TOKEN
exec "$@"
