#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a user sees of pruning; that it is right is tested in tests/engine.

bats_require_minimum_version 1.5.0
load helper

objects() { find "$T/repo" -type f | sort; }

# Three snapshots of data that shares little; the oldest two are forgotten.
make_past() {
	local i
	new_repo
	mkdir "$T/tree"
	for i in 1 2 3; do
		head -c 3000000 /dev/urandom >"$T/tree/f$((i % 2))"
		head -c 100000 /dev/urandom >"$T/tree/g$i"
		coffer backup -q "$T/tree"
	done
	coffer forget -q --keep-last 1
}

summary() { jq -e "select(.type == \"prune_summary\") | $1" "$T/out"; }

@test "a dry run tells what a run does, and writes nothing" {
	local would freed
	make_past
	objects >"$T/before"
	coffer prune --dry-run --json --max-unused 0% >"$T/out"
	objects | diff "$T/before" -
	summary '.dry_run and .snapshots_swept == 2 and .snapshots == 1'
	would=$(summary .packs_condemned)
	[ "$would" -ge 3 ]
	coffer prune --json --max-unused 0% >"$T/out"
	freed=$(summary .packs_deleted)
	[ "$freed" -eq "$would" ]
	summary '(.waiting | not) and .bytes_freed > 2000000'
	run -0 coffer check --read-data
	coffer restore -q latest --target "$T/back"
	diff -r "$T/tree" "$T/back$T/tree"
	[ "$(coffer snapshots --json | wc -l)" -eq 1 ]
}

@test "with a delay it can be taken back, until it is over" {
	local id
	make_past
	id=$(coffer snapshots --forgotten --json | jq -r .short_id | head -n 1)
	run -0 coffer prune --delay 7d
	[[ $output == *"run prune again then"* ]]
	run -0 coffer check
	[[ $output == *"are condemned since"* ]]
	coffer undelete "$id"
	find "$T/repo/prune" -name condemned -exec touch -d '8 days ago' {} +
	coffer prune --delay 7d --json >"$T/out"
	summary '.snapshots_swept == 1 and .packs_spared > 0'
	run -0 coffer check --read-data
	coffer restore -q "$id" --target "$T/back"
}

@test "a backup that was killed is waited for, and ended after its grace" {
	local pid
	make_past
	mkfifo "$T/in"
	"$COFFER" backup -q --stdin --name x <"$T/in" 3>&- &
	pid=$!
	exec 7>"$T/in"
	head -c 2000000 /dev/urandom >&7
	has_session() { [ -n "$(ls "$T/repo/sessions" 2>/dev/null)" ]; }
	within 60 has_session
	run -0 --separate-stderr coffer prune -v
	[[ $output == *"1 sessions are at work"* ]]
	# shellcheck disable=SC2154  # run sets it
	[[ $stderr == *"is in the way"* ]]
	kill -9 "$pid"
	wait "$pid" || true
	exec 7>&-
	coffer prune --json >"$T/out"
	summary .waiting
	find "$T/repo/sessions" "$T/repo/index" -type f \
		-exec touch -d '2 days ago' {} +
	coffer prune --json >"$T/out"
	summary '(.waiting | not) and .sessions_fenced == 1'
	[ -z "$(ls "$T/repo/sessions")" ]
	run -0 coffer check --read-data
}

@test "forget prunes where it is asked to" {
	make_past
	head -c 100000 /dev/urandom >"$T/tree/h"
	coffer backup -q "$T/tree"
	coffer forget -q --keep-last 1 --prune
	[ -z "$(coffer snapshots --forgotten --json | jq -r .short_id)" ]
	[ "$(find "$T/repo/snapshots" -type f | wc -l)" -eq 1 ]
}

@test "wrong flags are told" {
	new_repo
	fails_with 2 "--max-unused" prune --max-unused 101%
	fails_with 2 "lots" prune --max-unused lots
	fails_with 2 "--delay" prune --delay soon
	fails_with 2 "--grace" prune --grace 3
	fails_with 2 "--wait" prune --wait -1s
	run -0 coffer prune --max-unused unlimited --max-repack 0 --delay 0
	run -0 coffer prune --max-unused 1G --max-repack 10M --wait 1s
}
