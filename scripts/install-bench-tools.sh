#!/usr/bin/env bash
# What `npm run bench:gateway` compares Spillway with: nginx from the system's packages, and Portkey's gateway in the
# versions of bench/gateway/portkey/package-lock.json. Does only what is not done yet.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v nginx >/dev/null; then
  echo "nginx is here: $(nginx -v 2>&1)"
else
  command -v apt-get >/dev/null || { echo 'nginx is missing and there is no apt-get: install nginx yourself' >&2; exit 1; }
  sudo=''
  [ "$(id -u)" = 0 ] || sudo='sudo'
  # A package list that is missing or stale is fetched only where the package is not found without.
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get install -y --no-install-recommends nginx >/dev/null 2>&1 ||
    { $sudo apt-get update -q >/dev/null && $sudo apt-get install -y --no-install-recommends nginx >/dev/null; } ||
    { echo 'apt-get could not install nginx: see above, or install it yourself' >&2; exit 1; }
  echo "nginx was installed: $(nginx -v 2>&1)"
fi

command -v taskset >/dev/null || echo 'taskset (package util-linux) is missing: the benchmark will run, without pinning' >&2

portkey=.tmp/portkey
lock=bench/gateway/portkey/package-lock.json
if cmp -s "$lock" "$portkey/node_modules/.spillway-lock"; then
  echo "Portkey is here: $portkey"
else
  mkdir -p "$portkey"
  cp bench/gateway/portkey/package.json "$lock" "$portkey/"
  npm ci --prefix "$portkey" --ignore-scripts --no-audit --no-fund --loglevel=error ||
    { echo 'npm ci could not install Portkey: check the network and the npm registry, then run it again' >&2; exit 1; }
  cp "$lock" "$portkey/node_modules/.spillway-lock"
  echo "Portkey was installed: $portkey"
fi
