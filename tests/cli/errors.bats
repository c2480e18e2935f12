#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bad input gets one clear sentence, and nothing is lost.

bats_require_minimum_version 1.5.0
load helper

@test "wrong use is told with status 2" {
	fails_with 2 "unknown command" frobnicate
	new_repo
	fails_with 2 "--frob" backup --frob
	fails_with 2 "needs a value" backup --tag
	fails_with 2 "backup of what" backup
	fails_with 2 "no option" backup -o nothing=1 /tmp
	fails_with 2 "NAME=VALUE" backup -o nothing /tmp
	fails_with 2 "--target" restore latest
	fails_with 2 "neither" ls not-a-name
	fails_with 2 "already" init || fails_with 1 "already" init
	unset COFFER_REPOSITORY
	fails_with 2 "no repository given" snapshots
	fails_with 2 "foo" -r foo://bar snapshots
}

@test "no repository, a foreign one, a wrong passphrase" {
	fails_with 10 "" snapshots
	mkdir "$T/repo"
	fails_with 10 "" snapshots
	head -c 96 /dev/urandom >"$T/repo/config"
	fails_with 1 "config" snapshots
	rm -r "$T/repo"
	new_repo
	COFFER_PASSWORD=other fails_with 12 "wrong passphrase" snapshots
}

@test "truncated and newer repositories" {
	new_repo
	cp "$T/repo/config" "$T/config"
	chmod u+w "$T/repo/config"
	truncate -s 50 "$T/repo/config"
	fails_with 1 "config" snapshots
	cp "$T/config" "$T/repo/config"
	printf '\002' | dd of="$T/repo/config" bs=1 seek=8 conv=notrunc status=none
	fails_with 1 "version" snapshots
	cp "$T/config" "$T/repo/config"
	printf '\001' | dd of="$T/repo/config" bs=1 seek=12 conv=notrunc status=none
	fails_with 1 "feature" snapshots
	cp "$T/config" "$T/repo/config"
	run -0 coffer snapshots
}

@test "lost and damaged packs are found by check" {
	head -c 3000000 /dev/urandom >"$T/file"
	new_repo
	coffer backup -q "$T/file"
	run -0 coffer check --read-data
	pack=$(find "$T/repo/packs" -type f -size +500k | head -n 1)
	chmod u+w "$pack"
	cp "$pack" "$T/pack"
	flip "$pack" 70000
	run -1 coffer check --read-data
	run -1 coffer cat "latest:$T/file"
	truncate -s 100000 "$pack"
	run -1 coffer check
	rm -f "$pack"
	run -1 coffer check
	cp "$T/pack" "$pack"
	run -0 coffer check --read-data
}

@test "a full disk fails the backup and leaves the repository as it was" {
	[ "$(id -u)" -eq 0 ] || skip "only root can mount"
	mkdir "$T/small"
	mount -t tmpfs -o size=8m tmpfs "$T/small" || skip "cannot mount"
	export COFFER_REPOSITORY=$T/small/repo
	new_repo
	echo first >"$T/one"
	coffer backup -q "$T/one"
	head -c 20000000 /dev/urandom >"$T/large"
	status=0
	coffer backup -q "$T/large" 2>"$T/err" || status=$?
	check=0
	coffer check -q --read-data || check=$?
	n=$(coffer snapshots --json | wc -l)
	umount "$T/small"
	[ "$status" -eq 1 ]
	[ "$(wc -l <"$T/err")" -eq 1 ]
	grep -qi "no space" "$T/err"
	[ "$check" -eq 0 ]
	[ "$n" -eq 1 ]
}

@test "a killed backup is run again and goes on" {
	head -c 60000000 /dev/urandom >"$T/large"
	some_packs() { [ "$(find "$T/repo/packs" -type f 2>/dev/null | wc -l)" -ge 3 ]; }
	# Once in a while it has ended before that.
	for _ in {1..20}; do
		rm -rf "$T/repo" "$T/cache"
		new_repo
		status=0
		"$COFFER" backup -q "$T/large" 3>&- &
		pid=$!
		within 60 some_packs
		kill -9 $pid 2>/dev/null || true
		wait $pid || status=$?
		[ "$status" -eq 0 ] || break
	done
	[ "$status" -eq 137 ]
	run -0 coffer check --read-data
	run -0 coffer backup -q "$T/large"
	coffer cat "latest:$T/large" | cmp - "$T/large"
	run -0 coffer check --read-data
}

@test "a lost or spoilt cache is made again" {
	small_tree "$T/tree"
	new_repo
	coffer backup -q "$T/tree"
	find "$T/cache" -type f | while read -r f; do
		chmod u+w "$f"
		head -c 5000 /dev/urandom | dd of="$f" conv=notrunc status=none
	done
	run -0 coffer check --read-data
	coffer cat "latest:$T/tree/sub/random" | cmp - "$T/tree/sub/random"
	rm -rf "$T/cache"
	run -0 coffer check --read-data
}
