#!/usr/bin/env bash
# Sets up what `make demo` and `make test` need: .venv with the pinned dependencies; with --with-java, Java; with
# --with-servers, Java and the servers of the integration tests.
# Needs nothing but Python 3.10 to 3.13. Doing it again is quick.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "setup: $*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"; else return 1; fi; }
install_package() { # name in apt, dnf/yum, apk
  if command -v apt-get >/dev/null; then as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
  elif command -v dnf >/dev/null; then as_root dnf install -y -q "$2" >/dev/null
  elif command -v yum >/dev/null; then as_root yum install -y -q "$2" >/dev/null
  elif command -v apk >/dev/null; then as_root apk add -q "$3" >/dev/null
  else return 1; fi
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.12 python3.11 python3.13 python3.10 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  fail "Python 3.10 to 3.13 is needed and was not found; install one, or name it: make PYTHON=/path/to/python3.12 ..."
}

java_major() { # of the java that Spark will use
  local java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  command -v "$java" >/dev/null || { echo 0; return; }
  "$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

if [ ! -x .venv/bin/python ]; then
  python=$(find_python)
  say "setup: virtual environment .venv with $("$python" --version)"
  if ! "$python" -m venv .venv 2>/dev/null; then
    rm -rf .venv
    install_package python3-venv python3 python3 || true
    "$python" -m venv .venv || fail "'$python -m venv' does not work; install your system's venv package (Debian: python3-venv)"
  fi
fi

# The lock and the project's metadata decide what is installed; the package itself is installed editable.
want=$(cat requirements/dev.lock pyproject.toml scripts/setup.sh | cksum)
if [ "$(cat .venv/.autoremed-setup 2>/dev/null || true)" != "$want" ]; then
  say "setup: installing the pinned dependencies (a minute or two the first time)"
  if .venv/bin/python -m pip install -q --disable-pip-version-check uv 2>/dev/null; then
    # Compiled as pip leaves them: an Airflow process loads 3,500 modules, each from source where nothing else is there.
    .venv/bin/python -m uv pip install -q --compile-bytecode --python .venv/bin/python -r requirements/dev.lock
    .venv/bin/python -m uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
  else
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/dev.lock
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
  fi
  echo "$want" > .venv/.autoremed-setup
fi

if [ "${1:-}" = --with-servers ]; then
  PATH="$PATH:/usr/sbin:/usr/libexec"
  # The tests that need one are skipped, with its name, where it cannot be installed.
  for server in redis-server:redis mariadbd:mariadb-server chromium:chromium; do
    program=${server%%:*} package=${server##*:}
    command -v "$program" >/dev/null && continue
    say "setup: installing $package for the integration tests"
    debian=$package; [ "$package" = redis ] && debian=redis-server
    install_package "$debian" "$package" "${package%-server}" || say "setup: $package could not be installed; its tests are skipped"
  done
fi

if [ "${1:-}" = --with-java ] || [ "${1:-}" = --with-servers ]; then
  major=$(java_major)
  if [ "${major:-0}" -lt 17 ]; then
    say "setup: Spark needs Java 17 or newer (found: ${major:-none}); installing it with the system's package manager"
    install_package openjdk-17-jre-headless java-17-openjdk-headless openjdk17-jre-headless ||
      fail "Java 17 or newer is needed: install a JRE (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    [ "$(java_major)" -ge 17 ] || fail "Java 17 was installed but 'java' is still older; set JAVA_HOME to the new one"
  fi
fi
