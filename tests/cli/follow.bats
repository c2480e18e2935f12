#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is told of following, where nobody can hear it, and of those that died.
# There is no master: it is waited for.

bats_require_minimum_version 1.5.0
load helper

follow() { # PORT
	"$COFFER" follow "moosefs:127.0.0.1:$1" -o journal="$T/j" --json 3>&- &
	echo $! >>"$T/pids"
}

teardown() {
	local pid
	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" || true
	done <"$T/pids"
	rm -rf "$T"
}

field() { # PORT NAME
	python3 -c 'import json,sys
print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
		"$T/j/127.0.0.1_$1/status.json" "$2" 2>/dev/null
}

until_field() { # PORT NAME VALUE
	local _
	for _ in $(seq 1200); do
		[ "$(field "$1" "$2")" = "$3" ] && return 0
		sleep 0.1
	done
	echo "$2 is $(field "$1" "$2"), not $3"
	return 1
}

first() { head -n 1 "$T/pids"; }

ends_with_0() {
	kill -TERM "$(first)"
	wait "$(first)"
	: >"$T/pids"
}

@test "following goes on where its output is a disk that is full" {
	new_repo
	follow 1 >/dev/full
	until_field 1 untold 1
	[ "$(field 1 state)" = connecting ]
	ends_with_0
}

@test "following goes on where nobody reads its output any more" {
	new_repo
	python3 -c 'import os, sys
r, w = os.pipe()
os.close(r)
os.dup2(w, 1)
os.execv(sys.argv[1], sys.argv[1:])' "$COFFER" follow moosefs:127.0.0.1:1 \
		-o journal="$T/j" --json 3>&- &
	echo $! >>"$T/pids"
	until_field 1 untold 1
	[ "$(field 1 state)" = connecting ]
	ends_with_0
}

@test "following does not wait for who does not read its output" {
	new_repo
	mkfifo "$T/pipe"
	exec 8<>"$T/pipe" # a reader that does not read
	# Until it is full: those who write there would wait for ever.
	python3 -c 'import os, sys
pipe = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
try:
    while True: os.write(pipe, bytes(4096))
except BlockingIOError: pass' "$T/pipe"
	follow 1 >"$T/pipe"
	until_field 1 untold 1
	ends_with_0
	exec 8>&-
}

@test "the status of several masters, and of those whose follower was killed" {
	new_repo
	follow 1 >/dev/null 2>&1
	follow 2 >/dev/null 2>&1
	until_field 1 state connecting
	until_field 2 state connecting
	run -3 coffer follow --status "$T/j"
	[ "$(grep -c '^moosefs:127.0.0.1:[12] .*connecting' <<<"$output")" -eq 2 ]
	kill -KILL "$(first)"
	wait "$(first)" || true
	run -3 coffer follow --status "$T/j"
	grep -q '^moosefs:127.0.0.1:1 .*not running' <<<"$output"
	grep -q '^moosefs:127.0.0.1:2 .*connecting' <<<"$output"
	run -3 --separate-stderr coffer follow --status "$T/j" --json
	[ "$(grep -c '"type": *"stale".*"running": *false' <<<"$output")" -eq 1 ]
	[ "$(grep -c '"type": *"status".*"running": *true' <<<"$output")" -eq 1 ]
}
