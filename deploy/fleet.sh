#!/bin/sh
# A made-up fleet, published in real time: its first days lie in the past and come at once, the rest as it happens.
# Started again it goes on with the same fleet; events that come a second time change nothing.
set -eu
began=began
if [ ! -s "$began" ]; then
    date -u -d "@$(($(date +%s) - FLEET_DAYS_PAST * 86400))" +%Y-%m-%dT%H:%M:%SZ >"$began.part"
    mv "$began.part" "$began"
fi
stream-app simulate --pipelines "$FLEET_PIPELINES" --runs-per-day "$FLEET_RUNS_PER_DAY" --days 365 --out - |
    stream-app publish - --start "$(cat "$began")"
