#!/usr/bin/env bash
# Installs the programs of the optional tests: setup.sh [awscli] [boto3] [moto] [localstack]; all without arguments.
# Each has its own Python environment under .cache/python, created once per version of its requirements.
# Skips a program that cannot be installed, with the reason. The tests that need it are then skipped as well.
set -euo pipefail
cd "$(dirname "$0")/../.."

oldest() { case $1 in localstack) echo 3.13 ;; *) echo 3.10 ;; esac; }

# Prints the first interpreter that is new enough and starts (pyenv's shims may not).
python_since() {
  local candidate
  for candidate in python3 python3.13 python3.14 python3.12 "${HOME:-/root}"/.pyenv/versions/3.1[2-4]*/bin/python; do
    "$candidate" -c "import sys; sys.exit(sys.version_info < (${1/./, }))" >/dev/null 2>&1 && echo "$candidate" && return
  done
  return 1
}

install() {
  local name=$1 python
  local requirements=test/emulators/requirements/$name.txt home=.cache/python/$name
  cmp -s "$requirements" "$home/requirements.txt" && echo "$name: already installed in $home" && return
  python=$(python_since "$(oldest "$name")") || { echo "$name: skipped, it needs Python $(oldest "$name") or newer"; return; }
  rm -rf "$home"
  "$python" -m venv "$home" >/dev/null 2>&1 || { echo "$name: skipped, $python cannot create virtual environments"; return; }
  echo "$name: installing with $("$python" --version)"
  if timeout 240 "$home/bin/pip" --disable-pip-version-check --retries 1 --timeout 20 install --quiet \
    --requirement "$requirements" >"$home/install.log" 2>&1; then
    cp "$requirements" "$home/requirements.txt"
    echo "$name: installed in $home"
  else
    echo "$name: skipped, pip could not install it: $(grep -m1 ERROR "$home/install.log" || tail -n1 "$home/install.log")"
  fi
}

# Unpacks the tests of moto's source distribution, which the package does not contain. test/conformance/moto-tests runs them
# against the sandbox.
unpack_moto_tests() {
  local home=.cache/python/moto version
  [ -f "$home/requirements.txt" ] && [ ! -d "$home/source" ] || return 0
  version=$(sed -n 's/^moto==//p' "$home/requirements.txt")
  rm -rf "$home/download"
  if timeout 120 "$home/bin/python" -m pip --disable-pip-version-check --retries 1 --timeout 20 download --quiet --no-deps \
    --no-binary moto --dest "$home/download" "moto==$version" >"$home/download.log" 2>&1 &&
    tar -xzf "$home/download/moto-$version.tar.gz" -C "$home/download" "moto-$version/tests"; then
    mv "$home/download/moto-$version" "$home/source"
    echo "moto: its tests are in $home/source"
  else
    echo "moto: installed without its tests: $(tail -n1 "$home/download.log")"
  fi
  rm -rf "$home/download"
}

for name in "${@:-awscli boto3 moto localstack}"; do
  for environment in $name; do
    install "$environment"
    [ "$environment" != moto ] || unpack_moto_tests
  done
done
