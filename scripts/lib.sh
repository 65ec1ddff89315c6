# Shared by scripts/*: finds Python, makes the virtual environment, installs what is locked.
# Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "sitebrook needs Python 3.11 or later; install it, or name it: PYTHON=/path/to/python3."
}

# install_locked LOCK: brings .venv to what the lock file says; quick when it is there. What else is
# installed stays, such as extras that the operator chose; with the developers' lock it goes.
install_locked() {
  local lock="$root/backend/$1" venv="$root/.venv" stamp="$root/.venv/.locked" wanted python how
  wanted=$(cat "$lock" "$root/pyproject.toml" | cksum)
  if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$1 $wanted" ]; then
    return
  fi
  if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python) || exit 1
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
      fail "This Python cannot make virtual environments; install its venv module (on Debian: apt install python3-venv)."
    "$python" -m venv "$venv" || fail "The virtual environment .venv could not be made in $root."
  fi
  if [ ! -x "$venv/bin/uv" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv ||
      fail "The installer uv could not be installed; is the network there?"
  fi
  printf 'Installing the locked packages into .venv ...\n' >&2
  if [ "$1" = requirements-dev.lock ]; then
    # Tests start many processes: compiled once, each begins in half the time.
    how=(sync --compile-bytecode)
  else
    how=(install --no-compile-bytecode --requirements)
  fi
  "$venv/bin/uv" pip "${how[@]}" "$lock" --quiet --python "$venv/bin/python" --require-hashes ||
    fail "The locked packages could not be installed; the lines above say why."
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation \
    --editable "$root" || fail "sitebrook itself could not be installed."
  printf '%s' "$1 $wanted" >"$stamp"
}

# The widget's tools, as package-lock.json says.
install_widget() {
  local stamp="$root/widget/node_modules/.locked" wanted
  wanted=$(cat "$root/widget/package-lock.json" | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
  command -v npm >/dev/null 2>&1 || fail "The widget's checks need Node.js 20 or later with npm."
  (cd "$root/widget" && npm ci --silent --no-audit --no-fund) ||
    fail "The widget's tools could not be installed; run npm ci in widget/ to see why."
  printf '%s' "$wanted" >"$stamp"
}

# Real servers and a real browser for the tests: installed on Debian as root, else only named.
install_system_packages() {
  local missing=()
  command -v chromium >/dev/null 2>&1 || missing+=(chromium)
  [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 || missing+=(nginx)
  command -v openssl >/dev/null 2>&1 || missing+=(openssl)
  command -v redis-server >/dev/null 2>&1 || missing+=(redis-server)
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends "${missing[@]}" >/dev/null ||
      fail "These packages could not be installed: ${missing[*]}"
  else
    printf 'Tests that need these are skipped: apt install %s\n' "${missing[*]}" >&2
  fi
}
