#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A file of a snapshot as a disk: read by what people read disks with, written
# to a layer that is thrown away, and nothing left behind.

# shellcheck disable=SC2030,SC2031  # each test is a subshell
bats_require_minimum_version 1.5.0
load helper
eval "$(declare -f setup | sed '1s/setup/setup_place/')"
eval "$(declare -f teardown | sed '1s/teardown/remove_place/')"

setup() {
	setup_place
	local name
	for name in nbdkit nbdinfo nbdcopy qemu-img qemu-io jq; do
		command -v "$name" >/dev/null || skip "$name is not installed"
	done
	[ -e "$(dirname "$COFFER")/nbdkit-coffer-plugin.so" ] ||
		skip "the plugin is not built (a sanitizer, or no nbdkit-plugin-dev)"
	export XDG_RUNTIME_DIR=$T
	new_repo
	make_image "$T/src/img"
	coffer backup -q "$T/src" >/dev/null
	IMG=latest:$T/src/img
}

teardown() {
	stop
	remove_place
}

# 32 MiB: holes, what does not compress, and what does; an odd size.
make_image() {
	mkdir -p "$(dirname "$1")"
	truncate -s $((32 * 1048576 + 512)) "$1"
	head -c 9000000 /dev/urandom |
		dd of="$1" bs=1M seek=3 conv=notrunc status=none
	seq 1 800000 | dd of="$1" bs=1M seek=20 conv=notrunc status=none
	printf x | dd of="$1" bs=1 seek=$((31 * 1048576)) conv=notrunc status=none
}

# In the background; sets URI, SOCKET and PID.
serve() {
	coffer nbd --background --json "$@" >"$T/served"
	URI=$(jq -r .uri "$T/served")
	SOCKET=$(jq -r .socket "$T/served")
	PID=$(jq -r .pid "$T/served")
	NBDKIT=$(pgrep -P "$PID")
}

# In the foreground, with its messages in $T/err; sets URI and PID.
serve_here() {
	rm -f "$T/first"
	# A shell has SIGINT ignored for what it puts in the background.
	env --default-signal=INT "$COFFER" nbd "$@" >"$T/first" 2>"$T/err" &
	PID=$!
	within 60 grep -q . "$T/first"
	read -r URI <"$T/first"
}

has_ended() {
	case $(ps -o stat= -p "$1" 2>/dev/null) in
	"" | Z*) return 0 ;;
	esac
	return 1
}

gone() { within 60 has_ended "$1"; }

stop() {
	[ -n "${PID:-}" ] || return 0
	kill "$PID" 2>/dev/null || true
	gone "$PID"
	PID=
}

is_clean() {
	[ ! -e "$SOCKET" ] &&
		[ -z "$(find "$T" -maxdepth 1 -name 'coffer-nbd-*')" ]
}

# What is to remove it may be a process that nobody knows of.
nothing_left() { within 60 is_clean; }

@test "size, holes and bytes are those of the file" {
	serve "$IMG"
	[ "$(nbdinfo --size "$URI")" -eq $((32 * 1048576 + 512)) ]
	nbdinfo --map --json "$URI" >"$T/map"
	[ "$(jq '[.[].length] | add' "$T/map")" -eq $((32 * 1048576 + 512)) ]
	[ "$(jq '[.[] | select(.type == 3) | .length] | add' "$T/map")" -ge 14000000 ]
	[ "$(jq '[.[] | select(.type == 0) | .length] | add' "$T/map")" -ge 14000000 ]
	nbdcopy "$URI" "$T/out"
	cmp "$T/out" "$T/src/img"
	qemu-img compare -f raw -F raw "$URI" "$T/src/img"
	qemu-img convert -f raw -O qcow2 "$URI" "$T/out.qcow2"
	qemu-img compare -f qcow2 -F raw "$T/out.qcow2" "$T/src/img"
	stop
	nothing_left
}

@test "several connections at once" {
	serve "$IMG" --threads 4 --cache 2M
	nbdinfo --can multi-conn "$URI"
	nbdinfo --can cache "$URI"
	nbdcopy --connections=4 --requests=16 --request-size=65536 "$URI" "$T/out" &
	first=$!
	nbdcopy --connections=2 "$URI" "$T/out2"
	wait "$first"
	cmp "$T/out" "$T/src/img"
	cmp "$T/out2" "$T/src/img"
}

# Files of rbd export-diff, s1, s2, ...: an image of 24 MiB in scattered writes
# and discards, and what it reads as in the end.
image_chain() {
	python3 - "$1" <<-'END'
		import os, random, struct, sys
		out, size, rng = sys.argv[1], 24 << 20, random.Random(11)
		image = bytearray(size)
		for n in range(1, 7):
		    with open(f"{out}/{n}.diff", "wb") as f:
		        f.write(b"rbd diff v1\n")
		        name = lambda i: struct.pack("<I", 2) + b"s%d" % i
		        if n > 1:
		            f.write(b"f" + name(n - 1))
		        f.write(b"t" + name(n) + b"s" + struct.pack("<Q", size))
		        for off in range(0, size, 256 << 10):
		            kind = rng.random()
		            if kind < 0.5:
		                continue
		            at = off + 4096 * rng.randrange(32)
		            length = 4096 * rng.randrange(1, 32)
		            data = b"" if kind > 0.9 else os.urandom(length)
		            f.write((b"w" if data else b"z") + struct.pack("<QQ", at, length) + data)
		            image[at:at + length] = data or bytes(length)
		        f.write(b"e")
		open(out + "/raw", "wb").write(image)
	END
}

@test "it takes less than 150 MB of memory, however it is read" {
	head -c 300000000 /dev/urandom >"$T/src/large"
	coffer backup -q "$T/src" >/dev/null
	rm "$T/src/large"
	serve "latest:$T/src/large"
	nbdcopy --connections=8 "$URI" null:
	# Four at a time, everywhere in it.
	/usr/bin/python3 -c 'for i in range(320):
	    print("aio_read -q", i * 7919 * 4096 % 299000000 // 4096 * 4096, 4096)
	    if i % 4 == 3: print("aio_flush")' |
		qemu-io -r -f raw "$URI" >/dev/null
	grep VmHWM "/proc/$NBDKIT/status"
	[ "$(awk '/VmHWM/ { print $2 }' "/proc/$NBDKIT/status")" -lt $((150 * 1000000 / 1024)) ]
}

@test "an image that came in many increments" {
	mkdir "$T/chain"
	image_chain "$T/chain"
	coffer import -q --image volumes/vm "$T"/chain/?.diff
	serve latest:images/volumes/vm
	nbdcopy "$URI" - | cmp - "$T/chain/raw"
	qemu-img compare -f raw -F raw "$URI" "$T/chain/raw"
	nbdinfo --map --json "$URI" >"$T/map"
	python3 - "$T/map" "$T/chain/raw" <<-'END'
		import json, sys
		image = open(sys.argv[2], "rb").read()
		at = holes = 0
		for part in json.load(open(sys.argv[1])):
		    assert part["offset"] == at
		    at += part["length"]
		    if part["type"] == 3:
		        holes += part["length"]
		        assert not any(image[part["offset"]:at])
		assert at == len(image) and holes > len(image) // 8, holes
	END
	grep -q '"type": *0' "$T/map"
}

@test "small and empty files, by another spelling of the command" {
	echo hello >"$T/src/small"
	: >"$T/src/none"
	ln "$T/src/small" "$T/src/too"
	coffer backup -q "$T/src" >/dev/null
	serve latest "$T/src/small"
	[ "$(nbdcopy "$URI" -)" = hello ]
	stop
	serve latest "$T/src/too"
	[ "$(nbdcopy "$URI" -)" = hello ]
	stop
	serve latest "$T/src/none"
	[ "$(nbdinfo --size "$URI")" -eq 0 ]
}

@test "writes are refused" {
	serve "$IMG"
	nbdinfo --is read-only "$URI"
	run ! qemu-io -f raw -c 'write 0 4k' "$URI"
	nbdcopy "$URI" - | cmp - "$T/src/img"
}

@test "--cow: writes are seen, and thrown away with the server" {
	find "$T/repo" -type f -exec sha256sum {} + | sort >"$T/before"
	cp "$T/src/img" "$T/want"
	serve "$IMG" --cow
	[ "$(jq .writable "$T/served")" = true ]
	qemu-io -f raw -c 'write -P 0x5a 5000000 70000' \
		-c 'read -P 0x5a 5000000 70000' -c 'flush' "$URI"
	qemu-io -f raw -c 'write -P 0x5a 5000000 70000' "$T/want"
	nbdcopy "$URI" - | cmp - "$T/want"
	[ -z "$(find "$T" -maxdepth 1 -name 'nbdkit*')" ]
	stop
	nothing_left
	find "$T/repo" -type f -exec sha256sum {} + | sort | cmp - "$T/before"
	serve "$IMG" --cow
	nbdcopy "$URI" - | cmp - "$T/src/img"
}

@test "--run: the command's output, its status, and nothing left" {
	# shellcheck disable=SC2016  # for the command's shell
	coffer nbd "$IMG" --run -- sh -c 'nbdcopy "$uri" -' | cmp - "$T/src/img"
	# shellcheck disable=SC2016
	run -7 coffer nbd "$IMG" --run -- \
		sh -c 'test -S "$unixsocket" && test -z "$COFFER_PASSWORD" && exit 7'
	run -127 coffer nbd "$IMG" --run -- no-such-program
	run -143 coffer nbd "$IMG" --run -- sh -c 'kill $$'
	SOCKET=$T/none nothing_left
}

@test "the address is the first line; signals end it in peace" {
	for signal in INT TERM HUP; do
		serve_here "$IMG" --socket "$T/s $signal%"
		[ "$URI" = "nbd+unix:///?socket=${T}/s%20$signal%25" ]
		[ "$(nbdinfo --size "$URI")" -gt 0 ]
		kill -"$signal" "$PID"
		wait "$PID"
		[ ! -e "$T/s $signal%" ]
	done
}

@test "nobody but the owner may connect, and nobody sees the passphrase" {
	printf 'secret\n' >"$T/pass"
	COFFER_PASSWORD='' serve "$IMG" --password-file "$T/pass"
	[ "$(stat -c %a "$SOCKET")" = 600 ]
	[ "$(stat -c %a "$(dirname "$SOCKET")")" = 700 ]
	stop
	serve "$IMG"
	for pid in "$PID" "$NBDKIT"; do
		grep -qa nbd "/proc/$pid/cmdline"
		run ! grep -qa secret "/proc/$pid/cmdline" "/proc/$pid/environ"
	done
}

@test "killing either process leaves nothing behind" {
	serve "$IMG"
	[ -S "$SOCKET" ]
	kill -9 "$PID"
	gone "$NBDKIT"
	nothing_left
	serve "$IMG"
	kill -9 "$NBDKIT"
	gone "$PID"
	nothing_left
	serve_here "$IMG"
	kill -9 "$(pgrep -P "$PID")"
	local status=0
	wait "$PID" || status=$?
	[ "$status" -eq 1 ]
	grep -q "nbdkit was ended by signal 9" "$T/err"
}

@test "ended at any moment, it leaves nothing behind" {
	local i signal
	for i in {1..24}; do
		signal=$((i % 2 ? 9 : 15))
		"$COFFER" nbd "$IMG" >"$T/first" 2>"$T/err" &
		PID=$!
		# What a shell gets before it executes is another story.
		for ((n = 0; n < 30000; n++)); do
			[ ! "/proc/$PID/exe" -ef "$COFFER" ] || break
			sleep 0.002
		done
		sleep "0.$(printf %03d $((RANDOM % 80)))"
		pgrep -P "$PID" >"$T/child" || true
		kill -"$signal" "$PID"
		gone "$PID"
		[ ! -s "$T/child" ] || gone "$(cat "$T/child")"
	done
	SOCKET=$T/none nothing_left
}

@test "what is not there is told as by other commands" {
	fails_with 1 "/none: it is not in the snapshot" nbd latest:/none
	fails_with 2 "a dir has no content" nbd "latest:$T/src"
	fails_with 1 "no snapshot" nbd "00000000:$T/src/img"
	fails_with 2 "nbd of which image or file" nbd latest
	fails_with 2 "does not take" nbd "$IMG" more
	fails_with 2 "which command" nbd "$IMG" --run
	COFFER_PASSWORD=wrong fails_with 12 "" nbd "$IMG"
	fails_with 1 "exists" nbd "$IMG" --socket "$T/src/img"
	[ -s "$T/src/img" ]
	fails_with 2 "at most 107 bytes" nbd "$IMG" --socket "$T/$(printf '%0120d' 0)"
	PATH=/nowhere fails_with_path "$IMG"
	SOCKET=$T/none nothing_left
}

fails_with_path() {
	local status=0
	"$COFFER" nbd "$1" >"$T/out" 2>"$T/err" || status=$?
	[ "$status" -eq 1 ]
	[[ $(<"$T/err") == *"nbdkit is not in PATH"* ]]
}

@test "a socket that was left behind is replaced, one in use is not" {
	serve "$IMG" --socket "$T/sock"
	fails_with 1 "exists" nbd "$IMG" --socket "$T/sock"
	[ "$(nbdinfo --size "$URI")" -gt 0 ]
	kill -STOP "$PID"
	kill -9 "$NBDKIT"
	gone "$NBDKIT"
	[ -S "$T/sock" ]
	first=$PID
	serve "$IMG" --socket "$T/sock"
	[ "$(nbdinfo --size "$URI")" -gt 0 ]
	stop
	kill -9 "$first"
}

@test "a damaged chunk fails the reads that need it, and says so" {
	local pack
	pack=$(find "$T/repo/packs" -type f -size +400k -printf '%s %p\n' |
		sort -n | tail -n 1 | cut -d ' ' -f 2-)
	chmod u+w "$pack"
	chattr -i "$pack" 2>/dev/null || true
	head -c 64 /dev/urandom | dd of="$pack" bs=1 seek=300000 conv=notrunc status=none
	serve_here "$IMG"
	for ((i = 0; i < 32; i++)); do
		printf -- '-c\nread %dM 1M\n' "$i"
	done >"$T/reads"
	xargs -d '\n' -a "$T/reads" qemu-io -r -f raw "$URI" \
		>"$T/out" 2>&1 || true
	[ "$(grep -c 'Input/output error' "$T/out")" -ge 1 ]
	[ "$(grep -c '^read ' "$T/out")" -ge 20 ]
	grep -q "$T/src/img: at offset [0-9]*: .*chunk [0-9a-f]" "$T/err"
}
