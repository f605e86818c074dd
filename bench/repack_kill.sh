#!/usr/bin/env bash
# Kills `sluice repack` with SIGKILL at random moments and lets the next one
# resume: the result must be the uninterrupted one, byte for byte.
#
#   bench/repack_kill.sh SLUICE MODEL.gguf FOLDER [KILLS [SEED]]
#
# FOLDER needs room for two containers; what is written there is removed again.
# Each round kills one repack, writing or verifying, and finishes it (one that
# was too fast to be killed does not count). The tests do the same on a small
# model; this is for large ones and real devices.
set -euo pipefail

[[ $# -ge 3 ]] || { sed -n '2,12p' "$0" >&2; exit 2; }
sluice=$1 model=$2 folder=$3 kills=${4:-20}
RANDOM=${5:-1}
whole=$folder/whole.tmp out=$folder/out.tmp
trap 'rm -f "$whole" "$out" "$out.partial"' EXIT

begin=$(date +%s%N)
"$sluice" repack "$model" "$whole" --compress never >/dev/null 2>&1
milliseconds=$((($(date +%s%N) - begin) / 1000000))
echo "uninterrupted: $milliseconds ms"
killed=0
while ((killed < kills)); do
  rm -f "$out" "$out.partial"
  "$sluice" repack "$model" "$out" --compress never >/dev/null 2>&1 &
  after=$((milliseconds * (RANDOM % 1000) / 1000))
  sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
  state=finished
  if kill -9 $! 2>/dev/null; then state=killed; fi
  wait $! 2>/dev/null || true
  [[ ! -e $out ]] || state=finished
  if [[ $state == finished ]]; then
    milliseconds=$after # faster than the first one
  else
    killed=$((killed + 1))
  fi
  left=$(stat -c %s "$out.partial" 2>/dev/null || echo 0)
  report='{}'
  if [[ $state == killed ]]; then
    report=$("$sluice" repack "$model" "$out" --compress never --no-verify --json)
  fi
  resumed=$(sed -nE 's/.*"resumed":(true|false).*/\1/p' <<<"$report")
  cmp "$whole" "$out"
  [[ ! -e $out.partial ]] || { echo "a temporary is left" >&2; exit 1; }
  echo "$killed of $kills: $state after $after ms, $left bytes left," \
    "resumed: ${resumed:--}, identical"
done
echo "$killed killed; every result was identical"
