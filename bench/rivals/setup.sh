#!/usr/bin/env bash
# Installs the compared tools that PyPI has into .cache/python/rivals.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=.cache/python/rivals
python3 -m venv "$home"
"$home/bin/pip" --disable-pip-version-check install --quiet --requirement bench/rivals/requirements.txt
# Written last, so that an incomplete installation does not count.
cp bench/rivals/requirements.txt "$home/requirements.txt"
