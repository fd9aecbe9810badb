# Sourced by the other scripts. `bootstrap run` or `bootstrap dev` makes .venv in this clone and puts the locked
# dependencies into it; all it needs is Python 3.11 or newer. `dev` adds what the tests and checks need. A second
# call does nothing unless uv.lock or pyproject.toml changed. One line per step goes to stderr.
#
# PYTHON=/path/to/python chooses the interpreter.
# shellcheck shell=bash

unset CDPATH
root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
SUITABLE='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'

say() { printf 'interlock: %s\n' "$*" >&2; }

fail() { # what is wrong, what to do
  printf 'interlock: error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

find_python() { # sets `python`
  local candidate seen=""
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c "$SUITABLE" >/dev/null 2>&1; then
      python=$(command -v "$candidate")
      return
    fi
    seen="$seen $candidate=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo broken)"
  done
  fail "Python 3.11 to 3.14 is needed; found:${seen:- none}" \
    "install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 $0"
}

key() { # what the environment was made from
  printf '%s\n' "$root"
  cat -- "$root/uv.lock" "$root/pyproject.toml" | cksum
}

ready() { # run|dev: is the environment complete? dev holds all that run needs
  local level wanted
  wanted=$(key)
  for level in "$1" dev; do
    if [ -f "$venv/.ready-$level" ] && [ "$(cat -- "$venv/.ready-$level")" = "$wanted" ]; then
      "$venv/bin/python" -c 'import interlock' >/dev/null 2>&1 && return 0
    fi
  done
  return 1
}

logged() { # run a command quietly; its output is shown if it fails
  local status=0
  "$@" >"$tmp/log" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] || tail -n 25 -- "$tmp/log" >&2
  return "$status"
}

make_venv() {
  local clear=""
  if [ -d "$venv" ]; then
    # an environment can't be moved, and dies with the interpreter it was made from
    if "$venv/bin/python" -c "$SUITABLE" >/dev/null 2>&1 \
      && { [ ! -f "$venv/.root" ] || [ "$(cat -- "$venv/.root")" = "$root" ]; }; then
      return
    fi
    clear=--clear
  fi
  find_python
  say "making .venv with $python ($("$python" -c 'import platform; print(platform.python_version())'))"
  "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 \
    || fail "this Python can't make virtual environments: its modules venv and ensurepip are missing" \
      "Debian, Ubuntu: apt-get install python3-venv; then again: $0"
  "$python" -m venv ${clear:+"$clear"} -- "$venv" >&2 </dev/null \
    || fail "no virtual environment could be made in $venv" "is the folder writable, is the disk full? remove $venv and try again"
  printf '%s' "$root" >"$venv/.root"
}

choose_caches() { # the user's caches where they can be written, else a folder that is thrown away
  local base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}} probe
  if [ -z "$base" ] || ! mkdir -p -- "$base/uv" "$base/pip" 2>/dev/null || [ ! -w "$base/uv" ] || [ ! -w "$base/pip" ]; then
    base=$tmp/cache
  fi
  export UV_CACHE_DIR=${UV_CACHE_DIR:-$base/uv} PIP_CACHE_DIR=${PIP_CACHE_DIR:-$base/pip}
  mkdir -p -- "$UV_CACHE_DIR"
  probe=$UV_CACHE_DIR/.probe.$$
  if ! { : >"$probe" && ln -- "$probe" "$tmp/probe"; } 2>/dev/null; then
    export UV_LINK_MODE=copy # another file system: no hard links
  fi
  rm -f -- "$probe"
}

find_uv() { # sets `uv`: the user's own, else one that is thrown away afterwards
  local with_pip=""
  if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    uv=$(command -v uv)
    return
  fi
  say "fetching the installer (uv)"
  if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    with_pip=$venv/bin/python
  else
    logged "$venv/bin/python" -m ensurepip && with_pip=$venv/bin/python
  fi
  [ -n "$with_pip" ] || return 1
  logged "$with_pip" -m pip install --quiet --target "$tmp/uv" 'uv>=0.8,<1' || return 1
  uv=$tmp/uv/bin/uv
  "$uv" --version >/dev/null 2>&1
}

install_with_uv() { # run|dev
  local groups=(--no-dev)
  [ "$1" = dev ] && groups=()
  cd -- "$root" || return 1
  # inexact: what another level or the user added stays
  UV_PROJECT_ENVIRONMENT=$venv UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 \
    logged "$uv" sync --frozen --inexact --all-extras ${groups[@]+"${groups[@]}"} --python "$venv/bin/python"
}

drop_pip() { # a tenth of the environment, and nothing uses it once uv has done the work
  "$uv" pip uninstall --quiet --python "$venv/bin/python" pip setuptools >/dev/null 2>&1 || true
}

install_with_pip() { # run|dev: slower, the same versions
  cd -- "$root" || return 1
  logged "$venv/bin/python" scripts/_pins.py "$1" "$tmp" || return 1
  logged "$venv/bin/python" -m pip install --quiet --constraint "$tmp/pins.txt" --requirement "$tmp/wanted.txt"
}

install() ( # run|dev; in a subshell, so that its settings and its clean-up stay here
  rm -rf -- "$venv"/.setup.*
  tmp=$(mktemp -d "$venv/.setup.XXXXXX") || fail "$venv is not writable" "use the account that made it, or remove it"
  trap 'rm -rf -- "$tmp"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  unset VIRTUAL_ENV PYTHONHOME PIP_TARGET PIP_PREFIX
  export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  choose_caches
  if find_uv; then
    say "installing the locked dependencies with uv"
    if install_with_uv "$1"; then
      drop_pip
      exit 0
    fi
  fi
  say "uv can't be used here; installing with pip, which takes minutes"
  install_with_pip "$1" \
    || fail "the dependencies can't be installed" "is the package index reachable, and is the disk not full? then again: $0"
)

bootstrap() { # run|dev
  local level=$1 lock=""
  ready "$level" && return
  SECONDS=0
  if command -v flock >/dev/null 2>&1; then # two scripts at once: the second one waits, and finds it done
    exec {lock}<"$root/scripts"
    flock -n "$lock" || { say "waiting for another script that installs"; flock "$lock"; }
  fi
  if ! ready "$level"; then
    make_venv
    rm -f -- "$venv/.ready-$level"
    install "$level" || exit 1
    key >"$venv/.ready-$level"
    ready "$level" || fail "the environment in $venv does not work" "remove it and try again: rm -rf '$venv'"
    say "installed in $SECONDS s"
  fi
  [ -z "$lock" ] || exec {lock}<&-
}
