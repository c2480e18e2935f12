#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# import and export, with files that rbd 16.2 wrote.

bats_require_minimum_version 1.5.0
load helper

DATA=$PWD/tests/format-data

# The id of the Nth snapshot of an image, from 1.
nth() {
	coffer snapshots --json --path "rbd-diff:$1" |
		sed -n 's/.*"short_id":"\([^"]*\).*/\1/p' | sed -n "$2p"
}

count() { coffer snapshots --json | grep -c '"type":"snapshot"'; }

@test "a chain becomes snapshots, and each of them is whole" {
	cd "$DATA"
	new_repo
	run -0 coffer import --image volumes/tiny t1.rbd-diff t12.rbd-diff
	[[ ${lines[0]} == "t1.rbd-diff: s1 of 16.000 KiB, "*" saved" ]]
	coffer rbd-diff apply -q t1.rbd-diff --to "$T/raw1"
	coffer rbd-diff apply -q t2.rbd-diff --to "$T/raw2"
	for n in 1 2; do
		coffer cat "$(nth volumes/tiny $n)" images/volumes/tiny | cmp - "$T/raw$n"
		coffer export "$(nth volumes/tiny $n)" --format raw -o - | cmp - "$T/raw$n"
	done
	coffer forget "$(nth volumes/tiny 1)"
	coffer export latest:images/volumes/tiny --format raw -o "$T/back"
	cmp "$T/back" "$T/raw2"
	run -0 coffer check --read-data
}

@test "standard input is read once" {
	cd "$DATA"
	new_repo
	coffer import -q --image volumes/tiny - <t1.rbd-diff
	coffer import -q --image volumes/tiny - <t12.rbd-diff
	coffer export latest --format rbd-diff -o "$T/out2"
	coffer rbd-diff apply -q "$T/out2" --to "$T/raw"
	coffer rbd-diff apply -q t2.rbd-diff --to "$T/raw2"
	cmp "$T/raw" "$T/raw2"
	coffer backup -q -o image=volumes/other rbd-diff:t1.rbd-diff
	[ "$(count)" -eq 3 ]
	fails_with 2 "several snapshots" backup -o image=volumes/x rbd-diff:tiny.rbd-image-v2
	[ "$(count)" -eq 3 ]
}

@test "a wrong order or a gap is refused by the snapshots' names" {
	cd "$DATA"
	new_repo
	fails_with 2 "begins at snapshot 's1', and there is no earlier snapshot of volumes/tiny" \
		import --image volumes/tiny t12.rbd-diff
	coffer import -q --image volumes/tiny t1.rbd-diff t12.rbd-diff
	fails_with 2 "begins at snapshot 's1', and the previous snapshot of volumes/tiny here is 's2'" \
		import --image volumes/tiny t12.rbd-diff
	[ "$(count)" -eq 2 ]
	# But from the one that it begins at, when that is named.
	coffer import -q --image volumes/tiny --parent "$(nth volumes/tiny 1)" t12w.rbd-diff
	[ "$(count)" -eq 3 ]
	coffer export latest --format raw -o "$T/raw"
	coffer rbd-diff apply -q t2.rbd-diff --to "$T/raw2"
	cmp "$T/raw" "$T/raw2"
}

@test "of a damaged file nothing is kept, of the files before it all" {
	cd "$DATA"
	new_repo
	head -c 85 t12.rbd-diff >"$T/short"
	run -1 coffer import --image volumes/tiny t1.rbd-diff "$T/short"
	[[ $output == *"saved"* ]]
	[[ $output == *"1 snapshot before that was saved"* ]]
	[[ $output == *"short: at byte 71: the stream ends within this record"* ]]
	[ "$(count)" -eq 1 ]
	head -c 4000 tiny.rbd-image-v2 >"$T/short2"
	run -1 coffer import --image volumes/other "$T/short2"
	[ "$(count)" -eq 1 ]
	run -0 coffer check --read-data
}

@test "an image export becomes a snapshot for each of its own" {
	cd "$DATA"
	new_repo
	run -0 coffer import --image volumes/tiny tiny.rbd-image-v2
	[ "$(count)" -eq 2 ]
	run -0 coffer export "$(nth volumes/tiny 2)" --with "$(nth volumes/tiny 1)" \
		--format rbd-export -o "$T/again"
	run -0 coffer rbd-diff info "$T/again"
	[[ $output == *"order 12, features 0x3d, stripes of 4096 * 1"* ]]
	[[ $output == *"  k=v"* ]]
	[[ $output == *"nothing to s1 (protected)"* ]]
	cmp "$T/again" tiny.rbd-image-v2
	fails_with 2 "of the other format" import --format rbd-diff --image volumes/x tiny.rbd-image-v2
}

@test "a difference goes in either direction, and names are as told" {
	cd "$DATA"
	new_repo
	coffer import -q --image volumes/tiny t1.rbd-diff t12.rbd-diff
	one=$(nth volumes/tiny 1) two=$(nth volumes/tiny 2)
	coffer export -q "$two" --from "$one" --format rbd-diff -o "$T/d12"
	coffer export -q "$one" --from "$two" --format rbd-diff --from-name new --to-name old -o "$T/d21"
	run -0 coffer rbd-diff info "$T/d12" "$T/d21"
	[[ ${lines[0]} == *"d12: s1 to s2: image of 20.000 KiB; 3 records, 4 B of data, 4.000 KiB of zeroes" ]]
	[[ ${lines[1]} == *"d21: new to old: image of 16.000 KiB;"* ]]
	coffer rbd-diff apply -q t1.rbd-diff --to "$T/raw1"
	coffer rbd-diff apply -q t2.rbd-diff --to "$T/raw2"
	coffer rbd-diff apply -q "$T/d12" --base "$T/raw1" --to "$T/got2"
	coffer rbd-diff apply -q "$T/d21" --base "$T/raw2" --to "$T/got1"
	cmp "$T/raw1" "$T/got1"
	cmp "$T/raw2" "$T/got2"
	fails_with 2 "would have the name 's2'" export "$two" --from "$two" --format rbd-diff -o "$T/d22"
	fails_with 2 "export needs --format" export "$two" -o "$T/x"
	fails_with 1 "exists already" export "$two" --format raw -o "$T/raw1"
}

@test "any file can be exported raw; only images can be compared" {
	new_repo
	mkdir "$T/tree"
	seq 100000 >"$T/tree/a"
	coffer backup -q "$T/tree"
	coffer export "latest:$T/tree/a" --format raw -o - | cmp - "$T/tree/a"
	coffer export -q "latest:$T/tree/a" --format rbd-diff -o "$T/full"
	coffer rbd-diff apply -q "$T/full" --to "$T/back"
	cmp "$T/back" "$T/tree/a"
	fails_with 1 "there is no image in the snapshot" export latest --format raw -o "$T/x"
	fails_with 2 "only images can be compared" export "latest:$T/tree/a" --from latest \
		--from-name x --format rbd-diff -o "$T/x"
	[ ! -e "$T/x" ]
}

@test "an import that is interrupted while it waits leaves no snapshot" {
	new_repo
	mkfifo "$T/fifo"
	exec 7<>"$T/fifo"
	"$COFFER" import --image volumes/tiny - <"$T/fifo" 7>&- 3>&- &
	pid=$!
	head -c 60 "$DATA/t1.rbd-diff" >&7
	within 60 waits_for_more "$pid"
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	exec 7>&-
	[ "$status" -eq 130 ]
	[ "$(coffer snapshots --json | grep -c '"type":"snapshot"')" -eq 0 ]
}
