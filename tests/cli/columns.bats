#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Change logs, whose chunks are stored as columns: through all that happens to
# a chunk.  What a column is, is tested in tests/compat and tests/unit.

bats_require_minimum_version 1.5.0
load helper

LOG=$PWD/tests/compat/changelog.py

# The first lines of always the same log.
first_lines() { /usr/bin/python3 "$LOG" 1 "$1" >"$T/log"; }

stored() { find "$T/repo/packs" -type f -exec cat {} + | wc -c; }

restored() {
	rm -rf "$T/back"
	coffer restore -q latest --target "$T/back"
	cmp "$T/log" "$T/back$T/log"
}

@test "a log that grows comes back, also from packs that a prune made" {
	new_repo
	first_lines 70000
	cp "$T/log" "$T/shorter"
	coffer backup -q --level 6 "$T/log"
	# As columns it is an eighteenth, without them a quarter.
	[ $(($(stored) * 10)) -lt "$(stat -c %s "$T/log")" ]
	restored
	run -0 coffer check --read-data

	first_lines 90000
	cmp -n "$(stat -c %s "$T/shorter")" "$T/log" "$T/shorter"
	coffer backup -q --level 6 "$T/log"
	coffer forget -q --keep-last 1
	coffer prune --json --max-unused 0% >"$T/out"
	jq -e 'select(.type == "prune_summary") | .bytes_moved > 0' "$T/out"
	restored
	run -0 coffer check --read-data
}

@test "a byte of it that flipped is found, and never restored" {
	local pack
	new_repo
	first_lines 40000
	coffer backup -q --level 6 "$T/log"
	pack=$(find "$T/repo/packs" -type f -size +64k)
	chmod u+w "$pack"
	flip "$pack" 30000
	run -1 --separate-stderr coffer check --read-data
	# shellcheck disable=SC2154  # run sets it
	[[ $stderr == *"${pack##*/}"* ]]
	fails_with 3 "$T/log: chunk" restore -q latest --target "$T/back"
	[ ! -e "$T/back$T/log" ]
}
