#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_alerts.sh TOP - docs/alerts.yml by Prometheus's own parser, and its unit tests.
set -eu
if ! command -v promtool >/dev/null; then
	echo "promtool is not installed (Debian: prometheus)" >&2
	exit 77
fi
promtool check rules "$1/docs/alerts.yml"
promtool test rules "$1/tests/alerts/alerts_test.yml"
