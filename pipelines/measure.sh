#!/usr/bin/env bash
# Write the results of one state of a repository into a folder: fit.json or report.json, and build.json where C is built.
#
#   measure.sh TREE OUT
#
# What is measured comes from environment variables, see compare.sh. Exit codes: 0 results are written, also if the network
# does not fit; 2 nothing could be measured.
set -euo pipefail

tree=$(realpath -e -- "$1")
out=$(realpath -m -- "$2")
mkdir -p -- "$out"

# A path that leaves the repository, also by a symbolic link, is refused: the repository may be a stranger's fork.
inside() {
    local path
    path=$(realpath -e -- "$tree/$1" 2>/dev/null) || { echo "bitbudget: '$1' does not exist in this commit" >&2; return 1; }
    case "$path" in
        "$tree"/*) printf '%s\n' "$path" ;;
        *) echo "bitbudget: '$1' is outside of the repository" >&2; return 1 ;;
    esac
}

# Run bitbudget, write its JSON to a file, and accept "does not fit" (1) as a result.
result() {
    local file=$1 code=0
    shift
    bitbudget "$@" --json >"$file.part" || code=$?
    if [ "$code" -gt 1 ] || [ ! -s "$file.part" ]; then
        rm -f -- "$file.part"
        return 2
    fi
    mv -- "$file.part" "$file"
}

build() {
    if [ -z "${PIPELINE_DEVICE:-}" ] || [ "${PIPELINE_BUILD:-auto}" = never ]; then
        return 0
    fi
    result "$out/build.json" build "$1" --device "$PIPELINE_DEVICE" && return 0
    if [ "${PIPELINE_BUILD:-auto}" = always ]; then
        return 2
    fi
    echo "bitbudget: nothing was linked, see the line above; the comparison has no linked bytes" >&2
}

if [ -n "${PIPELINE_RESULT:-}" ]; then
    folder=$(inside "$PIPELINE_RESULT") || exit 2
    report=$(inside "$PIPELINE_RESULT/report.json") || exit 2
    cp -- "$report" "$out/report.json"
    build "$folder"
    exit
fi

network=$(inside "${PIPELINE_NETWORK:?expected the path of a network or of a result}") || exit 2
budget=()
[ -z "${PIPELINE_DEVICE:-}" ] || budget+=(--device "$PIPELINE_DEVICE")
[ -z "${PIPELINE_FLASH:-}" ] || budget+=(--flash "$PIPELINE_FLASH")
[ -z "${PIPELINE_RAM:-}" ] || budget+=(--ram "$PIPELINE_RAM")
read -r -a more <<<"${PIPELINE_OPTIONS:-}"

if [ -z "${PIPELINE_DATA:-}" ]; then
    result "$out/fit.json" fit "$network" "${budget[@]}" "${more[@]}"
    exit
fi
data=$PIPELINE_DATA
[ "$data" = digits ] || data=$(inside "$data") || exit 2
result "$out/report.json" train "$network" --data "$data" "${budget[@]}" "${more[@]}" --out "$out/result"
if [ -d "$out/result" ]; then
    build "$out/result"
fi
