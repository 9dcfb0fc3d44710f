#!/bin/sh
# Write requirements.lock, ray.lock and build-tools.lock: the packages of the image, of an image with Ray, and of the tools that
# build both, with the hashes of their files, at the versions of constraints.txt. torch is left out, because its builds for CPUs
# and for CUDA have different files. uv has to be installed.
#
#   docker/lock.sh
set -eu

cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo 'torch; python_version < "3"' >"$folder/without-torch.txt"
# What torch itself needs.
printf '%s\n' filelock fsspec jinja2 networkx setuptools sympy typing-extensions >"$folder/torch.in"
printf '%s\n' cyclonedx-bom pip setuptools >"$folder/tools.in"

lock() {
    uv pip compile --quiet --generate-hashes --python-version 3.11 --no-header --no-annotate \
        --constraint constraints.txt "$@"
}
lock_service() {
    lock pyproject.toml "$folder/torch.in" --extra postgres --extra s3 --extra oidc --extra tracing \
        --override "$folder/without-torch.txt" "$@" >/dev/null
}
lock_service --output-file docker/requirements.lock
lock_service --extra ray --output-file docker/ray.lock
lock "$folder/tools.in" --output-file docker/build-tools.lock >/dev/null
