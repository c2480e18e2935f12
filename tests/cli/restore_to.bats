#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# restore --to: what needs no other system.

bats_require_minimum_version 1.5.0
load helper

# A repository with one sparse file in it.
one_image() {
	new_repo
	head -c 5M /dev/urandom >"$T/disk"
	truncate -s 40M "$T/disk"
	seq 1 50000 >>"$T/disk"
	coffer backup -q "$T/disk"
	IT=latest:$T/disk
}

member() { jq -r "select(.type == \"summary\") | .$1" "$T/summary"; }

@test "a raw and a qcow2 file, and a pipe, are what it was; holes stay" {
	one_image
	coffer restore "$IT" --to "raw:$T/raw" --verify --json >"$T/summary"
	cmp "$T/disk" "$T/raw"
	[ "$(member images)" -eq 1 ]
	[ "$(member bytes)" -eq "$(stat -c %s "$T/disk")" ]
	[ "$(member bytes_verified)" -ge $((5 << 20)) ]
	[ "$(du -k "$T/raw" | cut -f 1)" -lt 7000 ]
	[ "$(stat -c %a "$T/raw")" = 600 ]
	coffer restore "$IT" --to - | cmp - "$T/disk"
	coffer restore "$IT" --to stdout: -q | cmp - "$T/disk"
	command -v qemu-img >/dev/null || skip "qemu-img is not installed"
	coffer restore "$IT" --to "qcow2:$T/qcow2" --verify
	qemu-img check -q "$T/qcow2"
	truncate -s %512 "$T/disk"
	qemu-img compare -q "$T/qcow2" "$T/disk"
}

@test "over a file only what differs is written, and it stays the same file" {
	one_image
	coffer restore "$IT" --to "raw:$T/raw" -q
	inode=$(stat -c %i "$T/raw")
	fails_with 1 "exists" restore "$IT" --to "raw:$T/raw"
	flip "$T/raw" 1000000
	flip "$T/raw" 30000000
	coffer restore "$IT" --to "raw:$T/raw" --overwrite always --dry-run --json >"$T/summary"
	[ "$(member bytes_written)" -eq 4096 ]
	[ "$(member bytes_zeroed)" -eq 4096 ]
	coffer restore "$IT" --to "raw:$T/raw" --overwrite always --json >"$T/summary"
	[ "$(member bytes_written)" -eq 4096 ]
	[ "$(member bytes_zeroed)" -eq 4096 ]
	cmp "$T/disk" "$T/raw"
	[ "$(stat -c %i "$T/raw")" = "$inode" ]
}

@test "a restore to a file that was killed goes on" {
	one_image
	for _ in $(seq 20); do
		rm -f "$T"/raw*
		"$COFFER" restore "$IT" --to "raw:$T/raw" --mark-every 256K --workers 1 -q &
		sleep 0.0"$((RANDOM % 9 + 1))"
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		[ -e "$T/raw" ] || break
	done
	coffer restore "$IT" --to "raw:$T/raw" --overwrite always --json >"$T/summary"
	cmp "$T/disk" "$T/raw"
	[ ! -e "$T/raw.coffer-restore" ]
}

@test "what does not go together is refused, and nothing is made" {
	one_image
	fails_with 2 "--delta is for files" restore "$IT" --to "raw:$T/x" --delta
	fails_with 2 "--target is for files" restore "$IT" --to "raw:$T/x" --target "$T/y"
	fails_with 2 "are for --to" restore "$IT" --target "$T/y" -o a=b
	fails_with 2 "no target \"nothing\"" restore "$IT" --to nothing:x
	fails_with 2 "no scheme" restore "$IT" --to "$T/x"
	fails_with 2 "no option" restore "$IT" --to "raw:$T/x" -o a=b
	fails_with 2 "NAME=VALUE" restore "$IT" --to "raw:$T/x" -o a
	fails_with 2 "always or never" restore "$IT" --to "raw:$T/x" --overwrite if-newer
	fails_with 2 "cannot be read again" restore "$IT" --to - --verify
	fails_with 2 "--json" restore "$IT" --to - --json
	fails_with 2 "not a block device" restore "$IT" --to "device:$T/disk" --overwrite always
	fails_with 1 "has no image" restore latest --to "raw:$T/x"
	fails_with 2 "is no image and no file" restore "latest:$T" --to "raw:$T/x"
	fails_with 1 "not in the snapshot" restore "$IT.not" --to "raw:$T/x"
	fails_with 1 "no/such" restore "$IT" --to "raw:$T/no/such/x"
	[ ! -e "$T/x" ]
	[ ! -e "$T/x.coffer-restore" ]
	coffer help target | grep -q '^  rbd '
	coffer help target rbd | grep -q stripe-unit
	fails_with 2 "no target" help target nothing
}

@test "damage in the repository ends it; half a file is not left under its name" {
	one_image
	find "$T/repo/packs" -type f -size +100k | while read -r pack; do
		chmod u+w "$pack"
		printf 'damage' | dd of="$pack" bs=1 seek=100000 conv=notrunc status=none
	done
	run -1 coffer restore "$IT" --to "raw:$T/raw"
	[ ! -e "$T/raw" ]
	[ ! -e "$T/raw.coffer-restore" ]
}
