#!/usr/bin/env bash
# Make sure that libngspice (and, for the tests, the ngspice program) is here.
set -eu
have_library() {
  [ -n "${NGSPICE_LIBRARY_PATH:-}" ] && return 0
  if command -v ldconfig >/dev/null 2>&1 && ldconfig -p 2>/dev/null | grep -q libngspice; then return 0; fi
  if [ -x /sbin/ldconfig ] && /sbin/ldconfig -p 2>/dev/null | grep -q libngspice; then return 0; fi
  for prefix in /opt/homebrew /usr/local "${CONDA_PREFIX:-/nonexistent}"; do
    for file in "$prefix"/lib/libngspice.so* "$prefix"/lib/libngspice.dylib; do
      [ -e "$file" ] && return 0
    done
  done
  return 1
}
if have_library && command -v ngspice >/dev/null 2>&1; then exit 0; fi
if command -v apt-get >/dev/null 2>&1; then
  echo "Installing ngspice (apt packages libngspice0, ngspice) ..."
  root=""
  [ "$(id -u)" = 0 ] || { root=sudo; echo "(apt-get needs root: sudo may ask for your password)"; }
  $root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq libngspice0 ngspice >/dev/null
  exit 0
fi
if have_library; then
  echo "The ngspice program is not on PATH; the tests that need it will be skipped." >&2
  exit 0
fi
cat >&2 <<'TEXT'
libngspice was not found, and this machine has no apt-get. Install it with one of
  brew install libngspice ngspice              (macOS)
  conda install -c conda-forge ngspice-lib ngspice
or set NGSPICE_LIBRARY_PATH to the library, then run the same command again.
TEXT
exit 1
