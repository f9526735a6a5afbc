#!/usr/bin/env bash
# Judges the commit that is checked out: the verdict as text, reports in slipway-reports, and
# a comment on the merge request when there is a token for it.
set -uo pipefail
if ! command -v slipway >/dev/null; then
  if [ -z "${SLIPWAY_URL:-}" ] || [ -z "${SLIPWAY_SHA256:-}" ]; then
    echo "slipway is not installed. Set SLIPWAY_URL and SLIPWAY_SHA256: where the program is, and its digest." >&2
    exit 2
  fi
  bin=$(mktemp -d)
  curl --fail --silent --show-error --location --proto '=https' --max-filesize 300000000 --output "$bin/slipway" "$SLIPWAY_URL" &&
    echo "$SLIPWAY_SHA256  $bin/slipway" | sha256sum --check --quiet && chmod +x "$bin/slipway" || exit 2
  PATH=$bin:$PATH
fi
base=HEAD~1
if [ -n "${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-}" ]; then
  # Where the request left its target: HEAD is the request's own last commit.
  git fetch --quiet origin "refs/heads/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME" || exit 2
  base=$(git merge-base FETCH_HEAD HEAD) || exit 2
elif git cat-file -e "${CI_COMMIT_BEFORE_SHA:-none}^{commit}" 2>/dev/null; then
  base=$CI_COMMIT_BEFORE_SHA
fi
rm -rf slipway-reports && mkdir slipway-reports && echo '*' >slipway-reports/.gitignore
slipway check --base "$base" --head HEAD \
  --also junit=slipway-reports/junit.xml --also sarif=slipway-reports/slipway.sarif --also markdown=slipway-reports/comment.md
code=$?

if [ -n "${SLIPWAY_GITLAB_TOKEN:-}" ] && [ -n "${CI_MERGE_REQUEST_IID:-}" ] && [ -f slipway-reports/comment.md ]; then
  notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
  # The token comes by a file descriptor: arguments can be seen by others on the machine.
  api() { curl --fail --silent --show-error --header @<(printf 'PRIVATE-TOKEN: %s\n' "$SLIPWAY_GITLAB_TOKEN") "$@"; }
  old=$(api "$notes?per_page=100" | jq -r '[.[] | select(.body | startswith("<!-- slipway-check -->")) | .id][0] // empty')
  # A comment that somebody else wrote cannot be edited; then there is a second one.
  { [ -n "$old" ] && api --request PUT --data-urlencode "body@slipway-reports/comment.md" --output /dev/null "$notes/$old"; } ||
    api --request POST --data-urlencode "body@slipway-reports/comment.md" --output /dev/null "$notes" ||
    echo "The comment could not be written; the verdict stands above." >&2
fi
exit "$code"
