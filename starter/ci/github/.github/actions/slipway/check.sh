#!/usr/bin/env bash
# Judges the commit that is checked out: annotations on standard output, reports in
# slipway-reports, the exit code as an output, so that later steps still run.
set -uo pipefail
if [ -n "${BASE_REF:-}" ]; then
  base="origin/$BASE_REF" # the merge is compared with the branch it would go to
elif [ -n "${BEFORE:-}" ] && git cat-file -e "$BEFORE^{commit}" 2>/dev/null; then
  base=$BEFORE
else
  base=HEAD~1
fi
who=$(git show --no-patch --format=%ae "${HEAD_SHA:-HEAD}")
rm -rf slipway-reports && mkdir slipway-reports && echo '*' >slipway-reports/.gitignore
slipway check --base "$base" --head HEAD --as "$who" --format github \
  --also sarif=slipway-reports/slipway.sarif --also junit=slipway-reports/junit.xml --also markdown=slipway-reports/comment.md \
  2>slipway-reports/errors.txt
code=$?
if [ -s slipway-reports/errors.txt ]; then
  # Messages may quote the change: nothing in them is a command to the runner.
  stop=$(head -c 32 /dev/urandom | sha256sum | cut -c 1-40)
  echo "::stop-commands::$stop"
  cat slipway-reports/errors.txt
  echo "::$stop::"
fi
if [ -f slipway-reports/comment.md ]; then
  cat slipway-reports/comment.md >>"$GITHUB_STEP_SUMMARY"
fi
echo "code=$code" >>"$GITHUB_OUTPUT"
