#!/usr/bin/env bash
# Write comment.md and comparison.txt from head.json, base.json, head-build.json and base-build.json in a folder, and print
# the text. Only these files are read, as data: the folder may be an artifact of a stranger's fork.
#
#   render.sh FOLDER
#
# PIPELINE_MAX_QUALITY_DROP and PIPELINE_NAME: see 'bitbudget compare --help'. Exit codes: as of compare.sh.
set -euo pipefail

folder=$(realpath -e -- "$1")
name=${PIPELINE_NAME:-default}
worst=0

for file in head base head-build base-build; do
    if [ -L "$folder/$file.json" ]; then
        echo "bitbudget: $file.json is a symbolic link; expected a file" >&2
        exit 2
    fi
done

# Append one comparison to both files.
compare() {
    local base=$1 head=$2 code=0
    shift 2
    bitbudget compare "$folder/$base.json" "$folder/$head.json" --allow-missing-base "$@" --name "$name" \
        --markdown >>"$folder/comment.md.part" || code=$?
    [ "$code" -le 1 ] || return 2
    bitbudget compare "$folder/$base.json" "$folder/$head.json" --allow-missing-base "$@" \
        >>"$folder/comparison.txt.part" || code=$?
    [ "$code" -le 1 ] || return 2
    [ "$code" -le "$worst" ] || worst=$code
}

rm -f -- "$folder"/comment.md* "$folder"/comparison.txt*
quality=()
[ -z "${PIPELINE_MAX_QUALITY_DROP:-}" ] || quality+=(--max-quality-drop "$PIPELINE_MAX_QUALITY_DROP")
compare base head "${quality[@]}" || exit 2
if [ -f "$folder/head-build.json" ]; then
    printf '\n' | tee -a "$folder/comparison.txt.part" >>"$folder/comment.md.part"
    compare base-build head-build || exit 2
fi
mv -- "$folder/comment.md.part" "$folder/comment.md"
mv -- "$folder/comparison.txt.part" "$folder/comparison.txt"
cat -- "$folder/comparison.txt"
exit "$worst"
