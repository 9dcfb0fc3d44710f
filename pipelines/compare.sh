#!/usr/bin/env bash
# Compare the network of the checked-out commit with that of the merge base, for every CI system that has git and bash.
#
#   compare.sh OUT
#
# writes head.json, base.json (if there is a merge base with the network), head-build.json and base-build.json (if C was
# linked), comment.md and comparison.txt into the folder OUT. Nothing but PIPELINE_NETWORK or PIPELINE_RESULT is required:
#
#   PIPELINE_BASE      commit or branch whose merge base with HEAD is the base; empty: there is no base
#   PIPELINE_NETWORK   path of the network in the repository
#   PIPELINE_RESULT    path of a committed folder that 'bitbudget train' has written; used instead of the network
#   PIPELINE_DATA      dataset in the repository, or 'digits': then the network is trained, and its quality is compared
#   PIPELINE_DEVICE, PIPELINE_FLASH, PIPELINE_RAM, PIPELINE_OPTIONS   budget, and more options of 'bitbudget fit' or 'train'
#   PIPELINE_BUILD     auto (link if a compiler is installed), always or never; only for trained results with a device
#   PIPELINE_MAX_QUALITY_DROP, PIPELINE_NAME   see 'bitbudget compare --help'
#
# Exit codes: 0 the network fits and keeps the limit of quality, 1 it does not, 2 nothing could be compared.
set -euo pipefail

scripts=$(dirname -- "$(realpath -e -- "${BASH_SOURCE[0]}")")
out=$(realpath -m -- "${1:?expected the folder for the results}")
root=$(pwd -P)
if [[ ! ${PIPELINE_NAME:-default} =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]]; then
    echo "bitbudget: the name of the comparison has other characters than A-Z, a-z, 0-9, '.', '_', '-'" >&2
    exit 2
fi
rm -rf -- "$out"
mkdir -p -- "$out"
temporary=$(mktemp -d)

# The repository may belong to another user, as in a container. Its hooks are not run.
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$root
export GIT_CONFIG_KEY_1=core.hooksPath GIT_CONFIG_VALUE_1=/dev/null

# shellcheck disable=SC2317  # the trap calls it
remove_temporary() {
    git worktree remove --force "$temporary/tree" 2>/dev/null || true
    rm -rf -- "$temporary"
}
trap remove_temporary EXIT

# What a stranger's network makes bitbudget print cannot control the terminal or, on GitHub, the runner.
quiet=
if [ "${GITHUB_ACTIONS:-}" = true ]; then
    quiet=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "::stop-commands::$quiet"
fi
measure() {
    "$scripts/measure.sh" "$@" 2>&1 | LC_ALL=C tr -d '\000-\010\013-\037\177'
}
keep() { # results of one state, by the names under which they are compared
    local from=$temporary/$1
    for file in fit report; do
        [ ! -f "$from/$file.json" ] || cp -- "$from/$file.json" "$out/$1.json"
    done
    [ ! -f "$from/build.json" ] || cp -- "$from/build.json" "$out/$1-build.json"
}

merge_base() {
    local base=${PIPELINE_BASE:-}
    [ -n "$base" ] || return 1
    if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
        git fetch --quiet --no-tags --unshallow origin 2>/dev/null || true
    fi
    git merge-base --end-of-options "$base" HEAD 2>/dev/null || git merge-base --end-of-options "origin/$base" HEAD 2>/dev/null
}

if commit=$(merge_base) && git worktree add --quiet --detach "$temporary/tree" "$commit"; then
    echo "the base is $commit"
    if measure "$temporary/tree" "$temporary/base"; then
        keep base
    else
        echo "the base has no result: only the budget is checked"
    fi
else
    echo "there is no merge base: only the budget is checked"
fi
failed=0
measure "$root" "$temporary/head" || failed=2
if [ "$failed" -eq 0 ]; then
    keep head
    "$scripts/render.sh" "$out" >"$temporary/text" || failed=$?
    cat -- "$temporary/text"
fi
[ -z "$quiet" ] || echo "::$quiet::"
case "$failed" in
    0) ;;
    1) echo "${quiet:+::error::}the change fails, see the comparison above" ;;
    *) echo "${quiet:+::error::}nothing could be compared, see the messages above" ;;
esac
exit "$failed"
