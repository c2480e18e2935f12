#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Backups by a key that cannot read what it wrote.

bats_require_minimum_version 1.5.0
load helper

new_repo_with_writer() {
	new_repo
	coffer key generate -q "$T/writer"
	coffer key add -q --role writer --new-key-file "$T/writer"
}

# A backup by the writer; what it tells goes to $T/notes, its end to
# $T/summary.
as_writer() {
	COFFER_PASSWORD='' coffer --key-file "$T/writer" backup --json \
		--no-progress "$@" "$T/tree" >"$T/notes"
	cat "$T/notes"
	grep '"summary"' "$T/notes" >"$T/summary"
}

summary_has() {
	grep -qF -- "$1" "$T/summary"
}

# No contents: at most the nodes that tell of the scratch directory's time.
stored_little() {
	[ "$(sed 's/.*"bytes_added":\([0-9]*\).*/\1/' "$T/summary")" -lt 4000 ]
}

@test "a writer's backup reads what changed, and without its cache everything" {
	small_tree "$T/tree"
	new_repo_with_writer
	sleep 2.1
	as_writer
	as_writer
	summary_has '"bytes_read":0,'
	stored_little
	cmp "$T/notes" "$T/summary"

	head -c 12345 /dev/urandom >"$T/tree/a.txt"
	sleep 2.1
	as_writer
	summary_has '"bytes_read":12345,'
	as_writer
	summary_has '"bytes_read":0,'
	coffer cat "latest:$T/tree/a.txt" | cmp - "$T/tree/a.txt"

	rm -r "$T/cache"
	as_writer
	run ! summary_has '"bytes_read":0,'
	stored_little
	grep -q "everything is read" "$T/notes"
	as_writer
	summary_has '"bytes_read":0,'
	as_writer --no-cache
	grep -q "everything is read" "$T/notes"
	run -0 coffer check --read-data
}

@test "the cache of a writer tells no names, and a killed backup leaves it" {
	small_tree "$T/tree"
	new_repo_with_writer
	sleep 2.1
	as_writer --host a-name-of-nobody
	local nodes
	nodes=$(echo "$T"/cache/*/nodes-*)
	[ "$(stat -c %a "$nodes")" = 600 ]
	run ! grep -qF -e numbers -e random -e a-name-of-nobody "$nodes"
	head -c 30M /dev/urandom >"$T/tree/more"
	for delay in 0.02 0.05 0.1 0.2; do
		COFFER_PASSWORD='' timeout -s KILL "$delay" "$COFFER" \
			--key-file "$T/writer" backup -q \
			--host a-name-of-nobody "$T/tree" || true
	done
	as_writer --host a-name-of-nobody
	run ! grep -q "everything is read" "$T/notes"
	as_writer --host a-name-of-nobody
	summary_has '"entries_new":0,'
	run -0 coffer check
}
