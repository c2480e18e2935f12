#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What goes wrong with the cluster while its images are backed up.

bats_require_minimum_version 1.5.0
load lab

setup_file() {
	ceph_cluster_start c1 7640 --bluestore --cephx --bytes 4294967296
	# How long a dead client is waited for; a live one tells of itself
	# every five seconds.
	ceph_on c1 config set global osd_client_watch_timeout 12
	rbd_on c1 create --size 256 volumes/a
	head -c 150000000 /dev/urandom >"$BATS_FILE_TMPDIR/data"
	rbd_on c1 bench --io-type write --io-size 4096 --io-total 64K \
		volumes/a >/dev/null
	rbd_on c1 import --no-progress "$BATS_FILE_TMPDIR/data" volumes/b
	rm "$BATS_FILE_TMPDIR/data"
}

begin() {
	new_repo
	CONF=$(ceph_conf c1)
	export CEPH_CONF=$CONF
}

ours() {
	rbd_on c1 snap ls --format json "$1" | jq -r '.[].name' |
		grep '^coffer\.' || true
}

# A user with these capabilities, as options of the source.
as_user() {
	local name=$1
	shift
	ceph_on c1 auth get-or-create "client.$name" "$@" >"$T/$name.keyring"
	AS=(-o conf="$CONF" -o user="$name" -o keyring="$T/$name.keyring")
}

@test "the capabilities that the guide names are enough, in their pool" {
	begin
	as_user backup mon 'profile rbd' osd 'profile rbd pool=volumes'
	coffer backup -q "${AS[@]}" rbd:volumes/a
	coffer backup -q "${AS[@]}" 'rbd:volumes/*'
	coffer cat latest:/images/volumes/a | sha256sum | cut -d ' ' -f 1 >"$T/have"
	rbd_sum c1 volumes/a | cmp - "$T/have"
	fails_with 1 "backups" backup "${AS[@]}" rbd:backups/x
	rbd_on c1 snap purge --no-progress volumes/a
	rbd_on c1 snap purge --no-progress volumes/b

	as_user reader mon 'profile rbd' osd 'profile rbd-read-only pool=volumes'
	fails_with 1 "capabilities do not allow it" backup "${AS[@]}" \
		rbd:volumes/a
	coffer backup -q -n "${AS[@]}" rbd:volumes/a
	[ -z "$(ours volumes/a)" ]
}

@test "a wrong key, an unknown user, no ceph.conf" {
	begin
	as_user stranger mon 'profile rbd' osd 'profile rbd'
	ceph-authtool -C -n client.stranger --gen-key "$T/wrong" >/dev/null
	fails_with 1 "does not take its key" backup -o conf="$CONF" -o user=stranger \
		-o keyring="$T/wrong" rbd:volumes/a
	fails_with 1 "client.nobody" backup -o conf="$CONF" -o user=nobody \
		-o keyring="$T/stranger.keyring" rbd:volumes/a
	fails_with 1 "nowhere" backup -o conf="$T/nowhere" rbd:volumes/a
	fails_with 2 "option depth" backup -o conf="$CONF" -o depth=0 \
		rbd:volumes/a
	[ -z "$(ours volumes/a)" ]
}

@test "a snapshot of ours that cannot be removed is told, and goes later" {
	begin
	coffer backup -q -o conf="$CONF" rbd:volumes/a
	local old status=0
	old=$(ours volumes/a)
	rbd_on c1 snap protect "volumes/a@$old"
	fails_with 3 "volumes/a@$old: cannot remove the snapshot" \
		backup -q -o conf="$CONF" rbd:volumes/a
	coffer backup -q --json -o conf="$CONF" rbd:volumes/a >"$T/json" || status=$?
	cat "$T/json"
	[ "$status" -eq 3 ]
	jq -es 'any(.[]; .type == "problem" and (.message | contains("in use")))' "$T/json"
	# The backup itself lacks nothing.
	jq -es 'all(.[]; .incomplete | not)' "$T/json"
	[ "$(coffer snapshots --json | wc -l)" -eq 3 ]
	# It does not keep the others.
	[ "$(ours volumes/a | wc -l)" -eq 2 ]
	rbd_on c1 snap unprotect "volumes/a@$old"
	coffer backup -q -o conf="$CONF" rbd:volumes/a
	[ "$(ours volumes/a | wc -l)" -eq 1 ]
	[ "$(ours volumes/a)" != "$old" ]
	rbd_on c1 snap purge --no-progress volumes/a
}

@test "an OSD that is killed and comes back in the middle of a backup" {
	begin
	coffer backup -q -o conf="$CONF" rbd:volumes/a
	coffer backup -q -o conf="$CONF" -o depth=2 -o timeout=100 rbd:volumes/b &
	local backup=$!
	sleep 0.5
	SIGNAL=KILL ceph_cluster_stop c1 osd.0
	sleep 1
	ceph_daemon_start c1 osd.0
	wait "$backup"
	coffer cat latest:/images/volumes/b | sha256sum | cut -d ' ' -f 1 >"$T/have"
	rbd_sum c1 volumes/b | cmp - "$T/have"
	[ "$(ours volumes/b | wc -l)" -eq 1 ]
	rbd_on c1 snap purge --no-progress volumes/a
	rbd_on c1 snap purge --no-progress volumes/b
}

@test "an OSD that does not come back: an error in time, nothing committed" {
	begin
	local status=0
	# shellcheck disable=SC2016
	printf '#!/bin/sh\n[ "$1" = freeze ] || kill -9 "$(cat "%s")"\n' \
		"$LAB/c1/run/osd.0.pid" >"$T/hook"
	chmod +x "$T/hook"
	timeout 300 "$COFFER" backup -o conf="$CONF" -o timeout=8 \
		-o hook="$T/hook" rbd:volumes/b >"$T/out" 2>&1 || status=$?
	cat "$T/out"
	[ "$status" -eq 1 ]
	grep -q 'volumes/b' "$T/out"
	[ -z "$(coffer snapshots --json)" ]
	# What it could not remove is told, and the next run does.
	grep -q 'coffer\.' "$T/out"
	rm -f "$LAB/c1/run/osd.0.pid"
	ceph_daemon_start c1 osd.0
	coffer backup -q -o conf="$CONF" rbd:volumes/b
	[ "$(ours volumes/b | wc -l)" -eq 1 ]
}

@test "a cluster that is dead" {
	begin
	ceph_cluster_stop c1
	local begin=$SECONDS
	fails_with 1 "in time" backup -o conf="$CONF" -o timeout=3 rbd:volumes/a
	[ $((SECONDS - begin)) -lt 100 ]
	[ -z "$(coffer snapshots --json)" ]
}
