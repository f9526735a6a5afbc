#!/usr/bin/env bash
# Puts slipway on the path: the one that is installed, or the one at SLIPWAY_URL, if it has the right digest.
set -euo pipefail
if command -v slipway >/dev/null; then
  slipway version
  exit 0
fi
if [ -z "${SLIPWAY_URL:-}" ] || [ -z "${SLIPWAY_SHA256:-}" ]; then
  echo "slipway is not installed. Set SLIPWAY_URL and SLIPWAY_SHA256: where the program is, and its digest." >&2
  exit 2
fi
dir=$(mktemp -d "${RUNNER_TEMP:-/tmp}/slipway.XXXXXX")
curl --fail --silent --show-error --location --proto '=https' --max-filesize 300000000 --output "$dir/slipway" "$SLIPWAY_URL"
echo "$SLIPWAY_SHA256  $dir/slipway" | sha256sum --check --quiet
chmod +x "$dir/slipway"
echo "$dir" >>"$GITHUB_PATH"
