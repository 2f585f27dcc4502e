#!/usr/bin/env bash
# Make sure that Chromium is here, in which the tests open the report. Nothing else needs it.
set -eu
for name in chromium chromium-browser; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium (apt package chromium) for the tests of the report ..."
  root=""
  [ "$(id -u)" = 0 ] || { root=sudo; echo "(apt-get needs root: sudo may ask for your password)"; }
  $root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends chromium >/dev/null
  exit 0
fi
echo "Chromium is not on PATH (brew install --cask chromium), so the tests of the report are skipped." >&2
