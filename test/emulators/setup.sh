#!/usr/bin/env bash
# Installs the programs of the optional tests: setup.sh [awscli] [boto3] [cfn-lint] [minio] [moto] [localstack] [go-client]; all without
# arguments. Each has its own Python environment under .cache/python, created once per version of its requirements; go-client is
# a Go program, built into .cache/go.
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

# Builds the Go client of test/clients, once per version of its source and modules.
build_go_client() {
  local source=test/clients/drivers/go home=$PWD/.cache/go version
  version=$(cat $source/{go.mod,go.sum,main.go} | cksum)
  [ "$(cat "$home/s3-client.version" 2>/dev/null)" != "$version" ] || { echo "go-client: already built in .cache/go"; return; }
  command -v go >/dev/null || { echo "go-client: skipped, it needs Go"; return; }
  mkdir -p "$home"
  echo "go-client: building with $(go env GOVERSION)"
  if timeout 240 go -C $source build -ldflags='-s -w' -o "$home/s3-client" . >"$home/s3-client.log" 2>&1; then
    echo "$version" >"$home/s3-client.version"
    echo "go-client: built in .cache/go"
  else
    echo "go-client: skipped, Go could not build it: $(tail -n1 "$home/s3-client.log")"
  fi
}

for name in "${@:-awscli boto3 cfn-lint minio moto localstack go-client}"; do
  for program in $name; do
    if [ "$program" = go-client ]; then build_go_client; else install "$program"; fi
    [ "$program" != moto ] || unpack_moto_tests
  done
done
