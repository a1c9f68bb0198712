#!/bin/sh
# Makes the virtual environment $1 with Python 3.11 or newer, also on a Debian that came without the venv module.
set -eu

# Debian's own comes first: it is not built as a shared library, and runs the same code up to a third faster.
python=
if /usr/bin/python3.11 -c 'import ensurepip, venv' 2>/dev/null; then
    python=/usr/bin/python3.11
fi
for candidate in python3.11 python3 python3.12 python3.13; do
    if [ -z "$python" ] && command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo 'yizhan: Python 3.11 or newer is needed (Debian: apt-get install python3 python3-venv)' >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "yizhan: $python has no venv module (Debian: sudo apt-get install python3-venv)" >&2
        exit 1
    fi
    echo '--- installing python3-venv'
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
fi
echo "--- $1 with $("$python" --version)"
"$python" -m venv "$1"
