#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Files that rbd 16.2 wrote, without any Ceph.

bats_require_minimum_version 1.5.0
load helper

DATA=$PWD/tests/format-data

@test "a chain, its merge and the full difference are one image" {
	cd "$DATA"
	run -0 coffer rbd-diff apply -q t2.rbd-diff --to "$T/full"
	run -0 coffer rbd-diff apply -q t1.rbd-diff t12.rbd-diff --to "$T/chain"
	run -0 coffer rbd-diff apply -q tiny.rbd-image-v2 --to "$T/image"
	run -0 coffer rbd-diff merge t1.rbd-diff t12.rbd-diff -o "$T/merged"
	cmp tm.rbd-diff "$T/merged"
	coffer rbd-diff merge t1.rbd-diff - -o - <t12.rbd-diff | cmp - tm.rbd-diff
	run -0 coffer rbd-diff apply -q "$T/merged" --to "$T/of-merged"
	run -0 coffer rbd-diff apply -q t1.rbd-diff --to "$T/first"
	run -0 coffer rbd-diff apply -q t12w.rbd-diff --base "$T/first" --to "$T/on-base"
	run -0 coffer rbd-diff apply -q t12.rbd-diff --in-place --to "$T/first"
	for image in chain image of-merged on-base first; do
		cmp "$T/full" "$T/$image"
	done
	[ "$(stat -c %s "$T/full")" -eq 20480 ]
}

@test "info tells what is in them" {
	cd "$DATA"
	run -0 coffer rbd-diff info t12.rbd-diff tiny.rbd-image-v2
	[[ ${lines[0]} == "t12.rbd-diff: s1 to s2: image of 20.000 KiB; 3 records, 4 B of data, 4.000 KiB of zeroes" ]]
	[[ $output == *"order 12, features 0x3d, stripes of 4096 * 1"* ]]
	[[ $output == *"  k=v"* ]]
	[[ $output == *"nothing to s1 (protected)"* ]]
	[[ $output == *"s2 to the head"* ]]
	coffer rbd-diff info --json t12.rbd-diff | python3 -c '
import json, sys
d = json.loads(sys.stdin.read())
assert d["type"] == "rbd_diff" and d["from"] == "s1" and d["to"] == "s2"
assert d["records"] == 3 and d["bytes_data"] == 4 and d["size"] == 20480'
}

@test "a wrong order or a gap is refused, both snapshots named" {
	cd "$DATA"
	coffer rbd-diff apply -q t1.rbd-diff --to "$T/base"
	sha256sum "$T/base" >"$T/sum"
	fails_with 2 "it cannot follow t12.rbd-diff" rbd-diff merge t12.rbd-diff t1.rbd-diff -o "$T/made"
	fails_with 2 "ends at snapshot 's2', and t12w.rbd-diff begins at snapshot 's1'" \
		rbd-diff merge t12.rbd-diff t12w.rbd-diff -o "$T/made"
	fails_with 2 "ends at snapshot 's2'" rbd-diff apply t2.rbd-diff t12.rbd-diff --to "$T/made"
	fails_with 2 "ends at snapshot 's2'" \
		rbd-diff apply t12.rbd-diff t12w.rbd-diff --in-place --to "$T/base"
	fails_with 2 "begins at snapshot 's1'" rbd-diff apply t12.rbd-diff --to "$T/made"
	fails_with 2 "it needs no image" rbd-diff apply t2.rbd-diff --in-place --to "$T/base"
	run -1 coffer rbd-diff verify --chain t2.rbd-diff t12.rbd-diff
	run -0 coffer rbd-diff verify --chain t1.rbd-diff t12.rbd-diff
	sha256sum -c --quiet "$T/sum"
	[ ! -e "$T/made" ]
	[ -z "$(find "$T" -name '.*')" ]
}

@test "a damaged file leaves nothing behind, and an image alone" {
	cd "$DATA"
	coffer rbd-diff apply -q t1.rbd-diff --to "$T/base"
	sha256sum "$T/base" >"$T/sum"
	head -c 80 t12.rbd-diff >"$T/short"
	fails_with 1 "short: at byte 71: the stream ends within this record" rbd-diff verify "$T/short"
	fails_with 1 "short: at byte 71" rbd-diff merge t1.rbd-diff "$T/short" -o "$T/made"
	fails_with 1 "short: at byte 71" rbd-diff apply t1.rbd-diff "$T/short" --to "$T/made"
	fails_with 1 "short: at byte 71" rbd-diff apply "$T/short" --base "$T/base" --to "$T/made"
	fails_with 1 "short: at byte 71" rbd-diff apply "$T/short" --in-place --to "$T/base"
	fails_with 1 "not a difference stream" rbd-diff info /etc/passwd
	sha256sum -c --quiet "$T/sum"
	[ ! -e "$T/made" ]
	[ -z "$(find "$T" -name '.*')" ]
}

@test "nothing is overwritten" {
	cd "$DATA"
	echo mine >"$T/mine"
	fails_with 1 "mine exists already" rbd-diff merge t1.rbd-diff t12.rbd-diff -o "$T/mine"
	fails_with 1 "mine exists already" rbd-diff apply t1.rbd-diff --to "$T/mine"
	[ "$(cat "$T/mine")" = mine ]
}

@test "bytes behind the end mark are ignored, and told" {
	{ cat "$DATA/t1.rbd-diff"; echo more; } >"$T/long"
	run -0 coffer rbd-diff verify "$T/long"
	[[ $output == *"what follows the end mark is ignored"* ]]
}

@test "an interrupted merge leaves nothing, also one that waits for its input" {
	mkfifo "$T/fifo"
	exec 7<>"$T/fifo"
	"$COFFER" rbd-diff merge "$DATA/t1.rbd-diff" "$T/fifo" -o "$T/made" 7>&- 3>&- &
	pid=$!
	head -c 60 "$DATA/t12.rbd-diff" >&7
	within 60 waits_for_more "$pid"
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	exec 7>&-
	[ "$status" -eq 130 ]
	[ ! -e "$T/made" ]
	[ -z "$(find "$T" -name '.*')" ]
}

@test "output that cannot be written is a failure" {
	cd "$DATA"
	status=0
	coffer rbd-diff merge t1.rbd-diff t12.rbd-diff -o - >/dev/full 2>"$T/err" || status=$?
	[ "$status" -eq 1 ]
	grep -q 'standard output: No space left' "$T/err"
	fails_with 1 "create $T/none/made" rbd-diff merge t1.rbd-diff -o "$T/none/made"
}

@test "the copy of a base is as sparse as the base, and the base stays" {
	coffer rbd-diff apply -q "$DATA/t1.rbd-diff" --to "$T/first"
	truncate -s 64M "$T/first"
	printf tail | dd of="$T/first" bs=1 seek=60000000 conv=notrunc status=none
	sha256sum "$T/first" >"$T/sum"
	coffer rbd-diff apply -q "$DATA/t12.rbd-diff" --base "$T/first" --to "$T/second"
	sha256sum -c --quiet "$T/sum"
	[ "$(stat -c %s "$T/second")" -eq 20480 ]
	[ "$(stat -c %b "$T/second")" -le 64 ]
	coffer rbd-diff apply -q "$DATA/t2.rbd-diff" --to "$T/third"
	cmp "$T/second" "$T/third"
	fails_with 2 "is not a regular file" rbd-diff apply "$DATA/t12.rbd-diff" \
		--base /dev/zero --to "$T/made"
}
