#!/bin/sh
# A server's model from a shell: sh serve_client.sh http://127.0.0.1:8000 OUT_FOLDER PHOTO...
set -eu
address=$1 out=$2
shift 2
mkdir -p "$out"

# The token, where the server wants one, goes through a file, so that no list of processes shows it.
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
if [ -n "${SEGBENCH_TOKEN:-}" ]; then echo "Authorization: Bearer $SEGBENCH_TOKEN" > "$headers"; fi
ask() { curl --fail-with-body --silent --show-error --header "@$headers" "$@"; }

# One image at once: what it says, then its mask.
ask --data-binary "@$1" "$address/v1/predict"; echo
ask --data-binary "@$1" --output "$out/mask.png" "$address/v1/predict?as=mask"

# Many or large ones as a job: send, watch, fetch, delete.
count=$#
while [ "$count" -gt 0 ]; do
    set -- "$@" --form "files=@$1"
    shift
    count=$((count - 1))
done
job=$(ask "$@" "$address/v1/jobs" | sed 's/^{"id":"\([A-Za-z0-9_-]*\)".*/\1/')
ask --no-buffer "$address/v1/jobs/$job/events"
ask --output "$out/result.zip" "$address/v1/jobs/$job/result.zip"
ask --request DELETE "$address/v1/jobs/$job"
echo "written: $out/mask.png $out/result.zip"
