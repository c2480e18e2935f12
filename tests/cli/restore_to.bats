#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# restore --to: what needs no other system.

bats_require_minimum_version 1.5.0
load helper

eval "helper_$(declare -f teardown)"

teardown() {
	local back
	! mountpoint -q "$T/mnt" || umount "$T/mnt"
	for back in "$T"/back* "$T"/small/back*; do
		[ ! -e "$back" ] || detach "$back"
	done
	! mountpoint -q "$T/small" || umount "$T/small"
	helper_teardown
}

# Whatever is attached to a file.
detach() {
	losetup --noheadings --output NAME --associated "$1" | while read -r name; do
		losetup --detach "$name"
	done
}

# new_device SIZE [FILE [options of losetup]]: $DEVICE, over a file that is 0xff
# wherever it is not there already.
new_device() {
	local size=$1 back=${2:-$T/back}
	[ "$(id -u)" -eq 0 ] || skip "a loop device needs root"
	[ -e /dev/loop-control ] || skip "there is no /dev/loop-control"
	command -v losetup >/dev/null || skip "losetup is not installed"
	[ -e "$back" ] || head -c "$size" /dev/zero | tr '\0' '\377' >"$back"
	DEVICE=$(losetup --find --show "${@:3}" "$back" 2>"$T/losetup") ||
		skip "no loop device is to be had: $(cat "$T/losetup")"
}

# Sectors of 512 bytes that were written to $DEVICE.
sectors_written() {
	sync "$DEVICE"
	awk '{ print $7 }' "/sys/block/${DEVICE#/dev/}/stat"
}

same_as_disk() { cmp -n "$(stat -c %s "$T/disk")" "$T/disk" "$DEVICE"; }

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

@test "a name that is longer than a target has room for" {
	new_repo
	local dir=$T name
	name=$(printf 'x%.0s' $(seq 240))
	for _ in $(seq 10); do dir=$dir/$name; done
	mkdir -p "$dir"
	seq 1 50000 >"$dir/disk"
	coffer backup -q "$dir/disk"
	coffer restore "latest:$dir/disk" --to "raw:$T/raw" -q
	cmp "$dir/disk" "$T/raw"
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

@test "a device has the image's bytes, and behind them what it had" {
	new_device 48M
	one_image
	fails_with 1 "$DEVICE exists" restore "$IT" --to "device:$DEVICE"
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always --verify --json >"$T/summary"
	same_as_disk
	[ "$(member bytes_verified)" -ge $((5 << 20)) ]
	[ "$(member bytes_zeroed)" -ge $((34 << 20)) ]
	# It is there, and not in a cache that somebody else does not see.
	cmp -n "$(stat -c %s "$T/disk")" "$T/disk" "$T/back"
	tail -c "+$(($(stat -c %s "$T/disk") + 1))" "$DEVICE" | tr -d '\377' >"$T/behind"
	[ "$(stat -c %s "$T/back")" -eq $((48 << 20)) ]
	[ ! -s "$T/behind" ]
}

@test "on a device only what differs is written, and in a dry run nothing" {
	new_device 48M
	one_image
	local before
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always -q
	flip "$DEVICE" 1000000
	flip "$DEVICE" 30000000
	before=$(sectors_written)
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always --dry-run --json >"$T/summary"
	[ "$(member bytes_written)" -eq 4096 ]
	[ "$(member bytes_zeroed)" -eq 4096 ]
	[ "$(sectors_written)" -eq "$before" ]
	run ! same_as_disk
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always --verify --json >"$T/summary"
	[ "$(member bytes_written)" -eq 4096 ]
	[ "$(member bytes_zeroed)" -eq 4096 ]
	[ $(($(sectors_written) - before)) -le 16 ]
	same_as_disk
	before=$(sectors_written)
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always --json >"$T/summary"
	[ "$(member bytes_written)" -eq 0 ]
	[ "$(member bytes_zeroed)" -eq 0 ]
	[ "$(sectors_written)" -eq "$before" ]
}

@test "a device that is too small, mounted or read-only is left as it is" {
	new_device 40M
	one_image
	fails_with 1 "and the image" restore "$IT" --to "device:$DEVICE" --overwrite always
	fails_with 1 "and the image" restore "$IT" --to "device:$DEVICE" --overwrite always -n
	[ -z "$(tr -d '\377' <"$DEVICE" | head -c 1)" ]

	new_device 64M "$T/back.mounted"
	command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed"
	mkfs.ext4 -q "$DEVICE"
	mkdir "$T/mnt"
	mount "$DEVICE" "$T/mnt" || skip "nothing can be mounted here"
	echo precious >"$T/mnt/file"
	fails_with 1 "is in use: mounted" restore "$IT" --to "device:$DEVICE" --overwrite always
	umount "$T/mnt"
	fsck.ext4 -fn "$DEVICE"
	mount "$DEVICE" "$T/mnt"
	grep -q precious "$T/mnt/file"
	umount "$T/mnt"

	new_device 64M "$T/back.mounted" --read-only
	fails_with 1 "$DEVICE" restore "$IT" --to "device:$DEVICE" --overwrite always
}

@test "a restore to a device that was killed is run again" {
	new_repo
	head -c 40M /dev/urandom >"$T/disk"
	coffer backup -q "$T/disk"
	IT=latest:$T/disk
	local status killed=0
	for _ in $(seq 20); do
		rm -f "$T/back"
		new_device 40M
		"$COFFER" restore "$IT" --to "device:$DEVICE" --overwrite always --workers 1 -q 3>&- &
		until cmp -s -n 4096 "$T/disk" "$DEVICE"; do
			kill -0 $! 2>/dev/null
		done
		status=0
		kill -KILL $! 2>/dev/null || true
		wait $! || status=$?
		if [ "$status" -eq 137 ] && ! cmp -s "$T/disk" "$DEVICE"; then
			killed=1
			break
		fi
		detach "$T/back"
	done
	[ "$killed" -eq 1 ]
	coffer restore "$IT" --to "device:$DEVICE" --overwrite always --json >"$T/summary"
	same_as_disk
	[ "$(member bytes_written)" -gt 0 ]
	[ "$(member bytes_written)" -lt $((40 << 20)) ]
}

@test "a device that takes what is written and then cannot keep it" {
	[ "$(id -u)" -eq 0 ] || skip "a mount needs root"
	mkdir "$T/small"
	mount -t tmpfs -o size=8M none "$T/small" || skip "nothing can be mounted here"
	truncate -s 48M "$T/small/back"
	new_device 48M "$T/small/back"
	new_repo
	head -c 40M /dev/urandom >"$T/disk"
	coffer backup -q "$T/disk"
	fails_with 1 "sync $DEVICE" restore "latest:$T/disk" --to "device:$DEVICE" --overwrite always
}
