#!/bin/sh
# The token of the ports and the password of the database: made once, kept in the volume /keys.
# A token that is given (TURNHALLE_TOKEN) takes the place of the one that was made.
set -eu
made() { python3 -c 'import secrets; print(secrets.token_urlsafe(32), end="")'; }
[ -s /keys/password ] || made > /keys/password
if [ -n "${TURNHALLE_TOKEN:-}" ]; then printf %s "$TURNHALLE_TOKEN" > /keys/token; fi
[ -s /keys/token ] || made > /keys/token
chmod 0444 /keys/password /keys/token
