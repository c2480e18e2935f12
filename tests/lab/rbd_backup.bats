#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Backing up images of a real cluster.

bats_require_minimum_version 1.5.0
load lab

setup_file() {
	ceph_cluster_start c1 7600
	# How long a killed client is waited for; a live one tells of itself
	# every five seconds.
	ceph_on c1 config set global osd_client_watch_timeout 12
}

# Each test has images of its own, and a repository.
begin() {
	new_repo
	IMG=volumes/$1
	CONF=$(ceph_conf c1)
	export CEPH_CONF=$CONF
}

# What the run tells goes to $T/notes, its end to $T/summary.
backup() {
	coffer backup --json --no-progress -o conf="$CONF" "$@" >"$T/notes"
	cat "$T/notes"
	grep '"summary"' "$T/notes" >"$T/summary"
}

# A figure of the last run.
figure() {
	sed "s/.*\"$1\":\([0-9]*\).*/\1/" "$T/summary"
}

snaps() {
	rbd_on c1 snap ls --format json "$1" | jq -r '.[].name'
}

ours() {
	snaps "$1" | grep '^coffer\.' || true
}

# The last snapshot holds what the cluster's one does.
right() {
	local snap
	snap=$(ours "$1" | tail -n 1)
	coffer cat "latest:/images/$1" | sha256sum | cut -d ' ' -f 1 >"$T/have"
	rbd_sum c1 "$1@$snap" >"$T/want"
	cmp "$T/have" "$T/want"
}

# image SIZE NAME [options of rbd create]
image() {
	local size=$1 name=$2
	shift 2
	rbd_on c1 create --size "$size" "$@" "$name"
}

# fill IMAGE OFFSET LENGTH with what no other place has.
fill() {
	/usr/bin/python3 - "$CONF" "$1" "$2" "$3" <<-'END'
		import os, rados, rbd, sys
		conf, name, off, length = sys.argv[1:]
		pool, image = name.split("/")
		with rados.Rados(conffile=conf) as cluster:
		    with rbd.Image(cluster.open_ioctx(pool), image) as img:
		        img.write(os.urandom(int(length)), int(off))
	END
}

why() {
	coffer cat "latest:/images/$1@rbd.json" | jq -r .why_full
}

@test "an image is read whole once, and then what changed" {
	begin inc
	image 64 "$IMG"
	fill "$IMG" 8388608 9000000
	backup "rbd:$IMG"
	right "$IMG"
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
	[ "$(why "$IMG")" != null ]

	backup "rbd:$IMG"
	[ "$(figure bytes_read)" -eq 0 ]
	[ "$(figure bytes_added)" -lt 4000 ]
	[ "$(why "$IMG")" = null ]
	right "$IMG"

	fill "$IMG" 40000000 5000
	backup "rbd:$IMG"
	[ "$(figure bytes_read)" -lt 10000000 ]
	right "$IMG"
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
	run -0 coffer check --read-data
}

@test "a rolled-back image is what it is, and not what fast-diff says" {
	begin back
	image 32 "$IMG"
	fill "$IMG" 0 4096
	rbd_on c1 snap create --no-progress "$IMG@s0"
	fill "$IMG" 8388608 4096
	rbd_on c1 snap create --no-progress "$IMG@s1"
	fill "$IMG" 0 8192
	fill "$IMG" 4194304 4096
	backup "rbd:$IMG"
	rbd_on c1 snap rollback --no-progress "$IMG@s1"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	right "$IMG"
	# And after increments in which nothing of that was seen again.
	rbd_on c1 snap rollback --no-progress "$IMG@s0"
	rbd_on c1 snap rm --no-progress "$IMG@s0"
	backup "rbd:$IMG"
	right "$IMG"
	backup "rbd:$IMG"
	rbd_on c1 snap rollback --no-progress "$IMG@s1"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	right "$IMG"
}

@test "what is resized is read as far as it has to be" {
	begin size
	image 16 "$IMG"
	fill "$IMG" 1000000 9000000
	backup "rbd:$IMG"
	rbd_on c1 resize --no-progress --size 48 "$IMG"
	fill "$IMG" 40000000 4096
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	right "$IMG"
	rbd_on c1 resize --no-progress --size 6 --allow-shrink "$IMG"
	rbd_on c1 snap create --no-progress "$IMG@small"
	rbd_on c1 resize --no-progress --size 48 "$IMG"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	right "$IMG"
	rbd_on c1 resize --no-progress --size 6 --allow-shrink "$IMG"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = "it was made smaller" ]
	grep -q 'is read whole: it was made smaller' "$T/notes"
	right "$IMG"
}

@test "clones, with what they share with their parent" {
	begin clone
	image 32 backups/parent
	fill backups/parent 0 20000000
	rbd_on c1 snap create --no-progress backups/parent@p
	# With deep-flatten its snapshots would get what it copies up.
	rbd_on c1 clone --rbd-default-clone-format 2 backups/parent@p "$IMG" \
		--image-feature layering,exclusive-lock,object-map,fast-diff
	rbd_on c1 snap create --no-progress "$IMG@virgin"
	backup "rbd:$IMG"
	right "$IMG"
	fill "$IMG" 5000000 4096
	backup "rbd:$IMG"
	[ "$(figure bytes_read)" -lt 8000000 ]
	right "$IMG"
	# An object that is no longer its own shows its parent's.
	rbd_on c1 snap rollback --no-progress "$IMG@virgin"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	right "$IMG"
	# What its parent showed there is gone, and no object has changed.
	rbd_on c1 resize --no-progress --size 4 --allow-shrink "$IMG"
	rbd_on c1 resize --no-progress --size 32 "$IMG"
	backup "rbd:$IMG"
	right "$IMG"
	rbd_on c1 flatten --no-progress "$IMG"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = "it was separated from its parent" ]
	right "$IMG"
}

@test "clones, without it: what is the clone's own" {
	begin lone
	image 32 backups/origin
	fill backups/origin 0 20000000
	rbd_on c1 snap create --no-progress backups/origin@p
	rbd_on c1 clone --rbd-default-clone-format 2 backups/origin@p "$IMG"
	backup -o parent=no "rbd:$IMG"
	[ "$(figure bytes_read)" -eq 0 ]
	# The first write makes all of an object its own.
	fill "$IMG" 4194304 100
	backup -o parent=no "rbd:$IMG"
	[ "$(why "$IMG")" = null ]
	coffer cat "latest:/images/$IMG@rbd.own" | od -An -tx1 | grep -qx ' 02'
	cmp <(coffer cat "latest:/images/$IMG") <(
		head -c 4194304 /dev/zero
		rbd_on c1 export --no-progress "$IMG" - |
			tail -c +4194305 | head -c 4194304
		head -c 25165824 /dev/zero
	)
	coffer cat "latest:/images/$IMG@rbd.json" |
		jq -e '.parent.image == "origin" and .parent_data == false'
	backup -o parent=yes "rbd:$IMG"
	[ "$(why "$IMG")" = "its parent's data are now stored" ]
	right "$IMG"
}

@test "without its base an image is read whole, and it is said why" {
	begin base
	image 16 "$IMG"
	fill "$IMG" 0 3000000
	backup "rbd:$IMG"
	rbd_on c1 snap rm --no-progress "$IMG@$(ours "$IMG")"
	backup "rbd:$IMG"
	grep -q "volumes/base is read whole: its snapshot coffer\..* is gone" \
		"$T/notes"
	[ "$(figure bytes_added)" -lt 4000 ]
	right "$IMG"
	# A snapshot of that name is not yet that snapshot.
	local name
	name=$(ours "$IMG")
	rbd_on c1 snap rm --no-progress "$IMG@$name"
	fill "$IMG" 0 3000000
	rbd_on c1 snap create --no-progress "$IMG@$name"
	backup "rbd:$IMG"
	right "$IMG"
	rbd_on c1 snap purge --no-progress "$IMG"
	rbd_on c1 rm --no-progress "$IMG"
	image 16 "$IMG"
	backup "rbd:$IMG"
	[ "$(why "$IMG")" = "another image has taken its name" ]
	right "$IMG"
}

@test "foreign snapshots stay, and those of another job" {
	begin theirs
	image 8 "$IMG"
	for name in mine coffer.mine coffer.a.20260101T000000.000Z \
		coffer.a.20260101T000000.000Zx coffer.ab.20260101T000000.000Z; do
		rbd_on c1 snap create --no-progress "$IMG@$name"
	done
	backup -o job=b "rbd:$IMG"
	backup -o job=a "rbd:$IMG"
	snaps "$IMG" >"$T/left"
	cat "$T/left"
	[ "$(wc -l <"$T/left")" -eq 6 ]
	# Only this one is of job a, and older than its last.
	run ! grep -qx coffer.a.20260101T000000.000Z "$T/left"
	coffer cat "latest:/images/$IMG@rbd.json" |
		jq -e '.snapshots | length == 5'
	fails_with 2 "option job" backup -o conf="$CONF" -o job=a.b "rbd:$IMG"
}

@test "a killed run leaves a snapshot, and the next one removes it" {
	begin killed
	# Without a lock, which the cluster would keep for a dead client.
	image 256 "$IMG" --image-feature layering
	fill "$IMG" 0 100000000
	backup "rbd:$IMG"
	cat >"$T/hook" <<-END
		#!/bin/sh
		[ "\$1" = thaw ] || exit 0
		(sleep \$(cat "$T/delay")
			[ ! "/proc/\$PPID/exe" -ef "$COFFER" ] || kill -9 \$PPID
		) >/dev/null 2>&1 3>&- &
		[ "\$(cat "$T/delay")" != 0 ] || wait
	END
	chmod +x "$T/hook"
	fill "$IMG" 1000000 90000000
	for delay in 0.02 0.1 0.2 0; do
		echo "$delay" >"$T/delay"
		coffer backup -q -o conf="$CONF" -o hook="$T/hook" "rbd:$IMG" ||
			echo "killed after $delay"
	done
	[ "$(ours "$IMG" | wc -l)" -ge 2 ]
	backup "rbd:$IMG"
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
	[ "$(why "$IMG")" = null ]
	right "$IMG"
	run -0 coffer check
}

@test "hooks: before and after, with the images' names, without a shell" {
	# shellcheck disable=SC2016
	local odd='odd $(x) name' hook
	begin "$odd"
	hook=$T/hook
	image 8 "$IMG"
	image 8 volumes/hooked
	cat >"$hook" <<-END
		#!/bin/bash
		printf '%s|' "\$@" >>"$T/called"
		rbd snap ls "\$2" | grep -c coffer >>"$T/called"
		[ ! -e "$T/fail-\$1" ]
	END
	chmod +x "$hook"
	backup -o hook="$hook" "rbd:$IMG" rbd:volumes/hooked
	cat "$T/called"
	diff "$T/called" - <<-END
		freeze|volumes/hooked|$IMG|0
		thaw|volumes/hooked|$IMG|1
	END
	right "$IMG"
	ours "$IMG" >"$T/before"
	: >"$T/called"
	touch "$T/fail-freeze"
	fails_with 1 "hook, to freeze" backup -q -o conf="$CONF" \
		-o hook="$hook" "rbd:$IMG" rbd:volumes/hooked
	[ "$(cut -d '|' -f 1 "$T/called" | xargs)" = "freeze thaw" ]
	ours "$IMG" | cmp - "$T/before"
	mv "$T/fail-freeze" "$T/fail-thaw"
	fails_with 1 "hook, to thaw" backup -q -o conf="$CONF" \
		-o hook="$hook" "rbd:$IMG" rbd:volumes/hooked
	ours "$IMG" | cmp - "$T/before"
	# shellcheck disable=SC2016
	printf '#!/bin/sh\n[ $1 = thaw ] || exec sleep 60\n' >"$hook"
	fails_with 1 "more than 4 seconds" backup -q -o conf="$CONF" \
		-o hook="$hook" -o hook-timeout=4 "rbd:$IMG" rbd:volumes/hooked
	fails_with 1 "no-such-hook" backup -q -o conf="$CONF" \
		-o hook=no-such-hook "rbd:$IMG"
	ours "$IMG" | cmp - "$T/before"
}

@test "a group: one instant, and nothing of it is left" {
	begin member1
	rbd_on c1 group create volumes/group
	for name in member1 member2; do
		image 16 volumes/$name
		fill volumes/$name 0 2000000
		rbd_on c1 group image add volumes/group volumes/$name
	done
	backup -o group=volumes/group rbd:
	[ "$(rbd_on c1 group snap ls volumes/group | wc -l)" -eq 0 ]
	right volumes/member1
	right volumes/member2
	coffer cat latest:/rbd.json |
		jq -e '.together == "group" and .images == 2'
	fill volumes/member2 4194304 5000
	backup -o group=volumes/group rbd:
	[ "$(figure bytes_read)" -gt 0 ]
	[ "$(figure bytes_read)" -lt 6000000 ]
	[ "$(why volumes/member2)" = null ]
	right volumes/member2
	[ "$(ours volumes/member1 | wc -l)" -eq 1 ]
	fails_with 2 "with a group" backup -o conf="$CONF" \
		-o group=volumes/group "rbd:$IMG"
	fails_with 1 "group volumes/none" backup -o conf="$CONF" \
		-o group=volumes/none rbd:
}

@test "a dry run leaves nothing, anywhere" {
	begin dry
	image 16 "$IMG"
	fill "$IMG" 0 3000000
	backup -n "rbd:$IMG"
	[ "$(figure bytes_read)" -ge 3000000 ]
	[ -z "$(snaps "$IMG")" ]
	[ -z "$(coffer snapshots --json)" ]
	backup "rbd:$IMG"
	fill "$IMG" 8388608 3000
	ours "$IMG" >"$T/before"
	backup -n "rbd:$IMG"
	[ "$(figure bytes_read)" -lt 5000000 ]
	ours "$IMG" | cmp - "$T/before"
}

@test "names, patterns, namespaces, the trash" {
	begin name
	rbd_on c1 namespace create volumes/ns
	image 4 volumes/ns/name
	image 4 "volumes/name é \"q'[1]"
	image 4 "$IMG-2"
	image 4 "$IMG"
	image 4 volumes/name-trash
	rbd_on c1 trash mv volumes/name-trash
	fill "$IMG-2" 0 100
	fill "$IMG" 0 100
	backup "rbd:volumes/name*" rbd:volumes/ns/name "rbd:$IMG"
	[ "$(figure entries)" -eq 9 ]
	coffer ls latest
	coffer ls latest | grep -qx '/images/volumes/@ns/name'
	right "$IMG"
	right "$IMG-2"
	right "volumes/name é \"q'[1]"
	# A name that is a pattern as well.
	backup "rbd:volumes/name é \"q'[1]"
	[ "$(figure entries)" -eq 3 ]
	fails_with 1 "no image that fits" backup -o conf="$CONF" 'rbd:volumes/x*'
	fails_with 1 "volumes/name-trash" backup -o conf="$CONF" \
		rbd:volumes/name-trash
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
	fails_with 1 "volumes/none" backup -o conf="$CONF" "rbd:$IMG" \
		rbd:volumes/none
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
	fails_with 2 "POOL" backup -o conf="$CONF" rbd:volumes
	fails_with 1 "nopool" backup -o conf="$CONF" rbd:nopool/x
}

@test "an image that is listed and cannot be opened any more" {
	begin ghost
	local id
	image 4 "$IMG"
	image 4 "$IMG-gone"
	fill "$IMG" 0 100
	id=$(rbd_on c1 info --format json "$IMG-gone" | jq -r .id)
	timeout 20 rados -c "$CONF" -p volumes rm "rbd_header.$id"
	run -3 coffer backup -o conf="$CONF" 'rbd:volumes/ghost*'
	[[ $output == *volumes/ghost-gone* ]]
	coffer snapshots --json | jq -e .incomplete
	right "$IMG"
	run -3 coffer backup -o conf="$CONF" 'rbd:volumes/ghost*'
	[ "$(why "$IMG")" = null ]
	fails_with 1 "volumes/ghost-gone" backup -o conf="$CONF" "rbd:$IMG" \
		"rbd:$IMG-gone"
	[ "$(ours "$IMG" | wc -l)" -eq 1 ]
}

@test "a writer's key reads what changed, and nothing of the repository" {
	begin writer
	image 32 "$IMG"
	fill "$IMG" 0 9000000
	coffer key generate -q "$T/writer"
	coffer key add -q --role writer --new-key-file "$T/writer"
	export COFFER_KEY_FILE=
	local as_writer=(--key-file "$T/writer")
	COFFER_PASSWORD='' backup "${as_writer[@]}" "rbd:$IMG"
	for i in 1 2 3; do
		fill "$IMG" $((i * 3000000)) 30000
		COFFER_PASSWORD='' backup "${as_writer[@]}" "rbd:$IMG"
		[ "$(figure bytes_read)" -lt 1000000 ]
		right "$IMG"
		[ "$(why "$IMG")" = null ]
	done
	rm -r "$T/cache"
	COFFER_PASSWORD='' backup "${as_writer[@]}" "rbd:$IMG"
	[ "$(why "$IMG")" != null ]
	right "$IMG"
}

@test "a snapshot that is removed under its reader fails the run" {
	begin gone
	image 512 "$IMG"
	fill "$IMG" 0 125000000
	# It shall take 25 seconds to read.
	rbd_on c1 config image set "$IMG" rbd_qos_read_bps_limit 5M
	cat >"$T/hook" <<-END
		#!/bin/bash
		[ "\$1" = thaw ] || exit 0
		name=\$(rbd snap ls --format json "\$2" | jq -r '.[-1].name')
		(sleep 0.3; rbd snap rm --no-progress "\$2@\$name") \
			>/dev/null 2>&1 3>&- &
	END
	chmod +x "$T/hook"
	fails_with 1 "volumes/gone" backup -q -o conf="$CONF" -o depth=1 \
		-o hook="$T/hook" "rbd:$IMG"
	[ -z "$(coffer snapshots --json)" ]
	[ -z "$(snaps "$IMG")" ]
}

@test "random lives of images: every snapshot that is left is right" {
	local seed=$RANDOM
	echo "seed $seed"
	new_repo
	/usr/bin/python3 "$BATS_TEST_DIRNAME/rbd_model.py" \
		"$(ceph_conf c1)" "$COFFER" "$seed" 11
}
