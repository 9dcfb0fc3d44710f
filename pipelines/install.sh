#!/usr/bin/env bash
# Install bitbudget from the folder above this one into the folder $BITBUDGET_ENVIRONMENT, unless the job has it already. On
# GitHub, the following steps get it by their PATH.
set -euo pipefail

if command -v bitbudget >/dev/null; then
    bitbudget --version
    exit
fi
source=$(dirname -- "$(dirname -- "$(realpath -e -- "${BASH_SOURCE[0]}")")")
environment=${BITBUDGET_ENVIRONMENT:-${RUNNER_TEMP:?expected the folder of the environment}/bitbudget-environment}
python3 -m venv "$environment"
[ -n "${PIP_EXTRA_INDEX_URL:-}" ] || unset PIP_EXTRA_INDEX_URL
"$environment/bin/pip" install --quiet --disable-pip-version-check --constraint "$source/constraints.txt" "$source"
"$environment/bin/bitbudget" --version
[ -z "${GITHUB_PATH:-}" ] || echo "$environment/bin" >>"$GITHUB_PATH"
