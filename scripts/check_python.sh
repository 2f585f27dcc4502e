#!/usr/bin/env bash
# Is this Python new enough, and can it make a virtual environment? Says what to do if not.
set -eu
python=$1
if ! command -v "$python" >/dev/null 2>&1; then
  echo "No '$python' on PATH. Install Python 3.11 or newer, or run: make PYTHON=/path/to/python3.11 ..." >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "'$python' is $("$python" --version 2>&1); ACS-Gym needs Python 3.11 or newer." >&2
  echo "Run for example: make PYTHON=python3.12 ..." >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
  # Debian splits venv off into a package of its own.
  if command -v apt-get >/dev/null 2>&1; then
    echo "Installing python3-venv ..."
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq && $root apt-get install -y -qq python3-venv >/dev/null
  else
    echo "'$python' has no venv module; install it with your system's package manager." >&2
    exit 1
  fi
fi
