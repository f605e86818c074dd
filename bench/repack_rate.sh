#!/usr/bin/env bash
# How fast `sluice repack` is beside a plain copy: the two take turns on the
# same file, both past the page cache and synced at the end.
#
#   bench/repack_rate.sh SLUICE MODEL.gguf FOLDER [ROUNDS]
#
# FOLDER (on the device to be measured) needs room for two copies; what is
# written there is removed again. Prints MB/s of the copy, of repack's writing,
# and of the whole of it with the verification, and their shares of the copy.
set -euo pipefail

[[ $# -ge 3 ]] || { sed -n '2,10p' "$0" >&2; exit 2; }
sluice=$1 model=$2 folder=$3 rounds=${4:-3}
copy=$folder/copy.tmp packed=$folder/packed.tmp
trap 'rm -f "$copy" "$packed" "$packed.partial"' EXIT
bytes=$(stat -c %s "$model")

printf '%8s %8s %8s %8s %8s\n' copy write whole write/c whole/c
for ((round = 0; round < rounds; ++round)); do
  rm -f "$copy" "$packed"
  begin=$(date +%s.%N)
  dd if="$model" of="$copy" bs=4M iflag=direct oflag=direct conv=fsync \
    status=none
  middle=$(date +%s.%N)
  report=$("$sluice" repack "$model" "$packed" --compress never --json)
  end=$(date +%s.%N)
  write=$(sed -E 's/.*"write_seconds":([0-9.e+-]+).*/\1/' <<<"$report")
  awk -v bytes="$bytes" -v begin="$begin" -v middle="$middle" -v end="$end" \
    -v write="$write" 'BEGIN {
      copy = middle - begin
      whole = end - middle
      printf "%8.0f %8.0f %8.0f %7.0f%% %7.0f%%\n", bytes / copy / 1e6,
        bytes / write / 1e6, bytes / whole / 1e6, 100 * copy / write,
        100 * copy / whole }'
done
