#!/bin/sh
# A made-up fleet, published in real time: its first days lie in the past and come at once, the rest as it happens.
# Started again it goes on with the same fleet; events that come a second time change nothing.
set -eu
days_past=${FLEET_DAYS_PAST:-14}
began=began
if [ ! -s "$began" ]; then
    date -u -d "@$(($(date +%s) - days_past * 86400))" +%Y-%m-%dT%H:%M:%SZ >"$began.part"
    mv "$began.part" "$began"
fi
stream-app simulate --pipelines "${FLEET_PIPELINES:-20}" --runs-per-day "${FLEET_RUNS_PER_DAY:-48}" \
    --days "${FLEET_DAYS:-365}" --out - |
    stream-app publish - --start "$(cat "$began")"
