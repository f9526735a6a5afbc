#!/usr/bin/env bash
# Writes the verdict as one comment on the pull request, and edits it on the next run.
set -euo pipefail
[ -f slipway-reports/comment.md ] || exit 0
comments="repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
old=$(gh api --paginate "$comments" --jq '.[] | select(.user.type == "Bot" and (.body | startswith("<!-- slipway-check -->"))) | .id' | head -n 1)
if [ -n "$old" ]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$old" --field body=@slipway-reports/comment.md
else
  gh api --silent --method POST "$comments" --field body=@slipway-reports/comment.md
fi
