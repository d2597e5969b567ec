#!/bin/sh
# A program that needs secrets. It shows that it has them, not what they are.
set -eu
echo "log level:         $LOG_LEVEL"
echo "release:           $RELEASE"
echo "database password: ${#DATABASE_PASSWORD} characters"
echo "GitHub token:      ${GITHUB_TOKEN:+given}${GITHUB_TOKEN-not set}" | sed 's/given.*/given/'
echo "CA bundle:         $(wc -l < "$CA_BUNDLE" | tr -d ' ') lines, mode $(ls -lL "$CA_BUNDLE" | cut -c1-10)"
