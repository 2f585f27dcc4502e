#!/usr/bin/env bash
# Do the wheel and the sdist work where there is no clone? Each is installed by pip, with what it
# requires, into a new environment in an empty folder, with no cache of anything, and used from there.
#   bash scripts/test_wheel.sh PYTHON       with a python that has `build`
set -euo pipefail
python=$(realpath --no-symlinks "$1")
checkout=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$python" -m build --outdir "$place/dist" "$checkout" >"$place/build.log" 2>&1 ||
  { cat "$place/build.log" >&2; exit 1; }

export HOME="$place/home" XDG_CACHE_HOME="$place/cache" XDG_CONFIG_HOME="$place/config"
unset ACS_GYM_CACHE PYTHONPATH
mkdir -p "$HOME" "$place/work"
cd "$place/work"

say() { printf '\n$ %s\n' "$*"; "$@"; }

install_in_new() { # FILE: `acs-gym` and `python` are those of a new environment that has it
  "$python" -m venv --clear "$place/venv"
  say "$place/venv/bin/python" -m pip --disable-pip-version-check -qq install --no-compile "$1"
}

run_in_new() { PATH="$place/venv/bin:$PATH" say "$@"; }

echo "== the sdist"
install_in_new "$place"/dist/acs_gym-*.tar.gz
run_in_new acs-gym doctor

echo "== the wheel"
install_in_new "$place"/dist/acs_gym-*.whl
run_in_new acs-gym doctor
run_in_new acs-gym pdk install sky130
run_in_new acs-gym new mycircuit
# It exits with 1 where so few simulations do not meet every spec.
run_in_new acs-gym size ./mycircuit --budget 12 || [ $? = 1 ]
test -s runs/size/mycircuit-sky130-tt/sizing.html
run_in_new python -m leaderboard.run --suite quick --agents random,sobol --seeds 1 --budget 8
test -s runs/quick/report.html
du -sh "$place/venv"
echo "the wheel and the sdist work without the clone"
