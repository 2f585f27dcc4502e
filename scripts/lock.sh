#!/usr/bin/env bash
# Write requirements/ anew: setup.txt, develop.txt and docs.txt, all that `make setup`, `make develop` and
# `make docs` install, in the versions of constraints.txt, with the hashes of every file that these
# versions have, whatever the platform or the Python. Run it after a change of constraints.txt or of
# pyproject.toml's requirements. Needs uv (pip install uv) and the network.
set -euo pipefail
cd "$(dirname "$0")/.."

# torch's builds differ by machine, so it is installed apart, and what its CUDA build alone requires
# comes with it. pip is there before anything is installed. What Windows and browsers alone require is
# left out too: ngspice is driven on POSIX.
left_out() {
  printf '%s\n' cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
    nvidia-nvshmem-cu13 triton colorama pywin32 httpx2-jsfetch
}

# The project is built with these, not with whatever an isolated build would fetch.
build_requirements() {
  python3 -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["build-system"]["requires"]))'
}

lock() {
  build_requirements | uv pip compile pyproject.toml - --extra "$2" --constraint constraints.txt \
    --excludes <(left_out) --no-emit-package torch --no-emit-package pip \
    --universal --python-version 3.11 \
    --only-binary :all: --generate-hashes --no-annotate --quiet \
    --custom-compile-command "bash scripts/lock.sh" --output-file "requirements/$1.txt"
}

lock setup skopt
lock develop dev
lock docs docs
