#!/usr/bin/env bash
# Installs what can be had from PyPI of what replikey is measured against, into .cache/python/rivals.
set -euo pipefail
cd "$(dirname "$0")/../.."

home=.cache/python/rivals
python3 -m venv "$home"
"$home/bin/pip" --disable-pip-version-check install --quiet --requirement bench/rivals/requirements.txt
# Written last, so that what was installed by half does not count.
cp bench/rivals/requirements.txt "$home/requirements.txt"
