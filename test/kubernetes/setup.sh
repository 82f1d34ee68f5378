#!/usr/bin/env bash
# Installs the programs of the tests of deploy/ and of the custom resources: setup.sh [validator] [helm] [kustomize]; all
# three without arguments. Builds them with Go into .cache/kubernetes, once per version. Skips a program that cannot be
# built, with the reason. The tests that need it are then skipped as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$PWD/.cache/kubernetes

HELM=helm.sh/helm/v3/cmd/helm@v3.19.0
KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.7.1

# version_of NAME: prints what the program is built from.
version_of() {
  case $1 in
    validator) cat test/kubernetes/validator/{go.mod,main.go} | cksum ;;
    helm) echo $HELM ;;
    kustomize) echo $KUSTOMIZE ;;
  esac
}

build() {
  case $1 in
    validator) go -C test/kubernetes/validator build -ldflags='-s -w' -o "$home/validator" . ;;
    helm) GOBIN=$home go install -ldflags='-s -w' $HELM ;;
    kustomize) GOBIN=$home go install -ldflags='-s -w' $KUSTOMIZE ;;
  esac
}

install() {
  local name=$1
  [ "$name" = validator ] || ! command -v "$name" >/dev/null || { echo "$name: already installed on this system"; return; }
  [ "$name" != kustomize ] || ! command -v kubectl >/dev/null || { echo "$name: not needed, kubectl contains it"; return; }
  [ "$(cat "$home/$name.version" 2>/dev/null)" != "$(version_of "$name")" ] || { echo "$name: already installed in $home"; return; }
  command -v go >/dev/null || { echo "$name: skipped, it needs Go"; return; }
  mkdir -p "$home"
  echo "$name: building with $(go env GOVERSION)"
  if build "$name" >"$home/$name.log" 2>&1; then
    version_of "$name" >"$home/$name.version"
    echo "$name: installed in $home"
  else
    echo "$name: skipped, Go could not build it: $(tail -n1 "$home/$name.log")"
  fi
}

for name in "${@:-validator helm kustomize}"; do
  for program in $name; do install "$program"; done
done
