#!/bin/sh
# A training on one machine with the sidecar beside it: sh train.sh python train.py ...
# Its exit code is that of the training, whatever becomes of the sidecar.
: "${STREAM_APP_URL:=http://localhost:8484}"
events=${EVENTS:-events.jsonl}
export STREAM_APP_URL OPENLINEAGE__TRANSPORT__TYPE=file OPENLINEAGE__TRANSPORT__APPEND=true
export OPENLINEAGE__TRANSPORT__LOG_FILE_PATH="$events"

stream-app emit --tail "$events" --port "${PORT:-8486}" >/dev/null &
sidecar=$!
"$@"
code=$?
# It delivers what it can for some seconds, and keeps the rest for the next time.
kill "$sidecar" 2>/dev/null
wait "$sidecar" 2>/dev/null
exit "$code"
