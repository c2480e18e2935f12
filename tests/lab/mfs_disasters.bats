#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Everything that can go wrong, one after the other in an order that is drawn,
# while changes are made without a pause.  After each, what the status told as
# protected before is restored from the newest snapshot and compared with what
# mfsmaster makes of the master's own image and log up to the same change.
#
# MFS_SEED repeats a run; MFS_ROUNDS is how often each comes, MFS_OPS how many
# changes there are at least (make soak has more of both); MFS_ORDER has other
# disasters than all, MFS_RATE is of changes in a second.
# Ports 9930 to 9932, and 9934 for the network in between.

bats_require_minimum_version 1.5.0
# Seconds.
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:+2800}
load lab
load follow

OPS=${MFS_OPS:-100000}
DISASTERS='coffer master both restarts stall drop full hour'

setup_file() { export PATH=$PATH:/usr/sbin:/sbin; }

load_off() {
	: >"$T/enough"
	[ ! -s "$T/client" ] || kill "$(cat "$T/client")" 2>/dev/null || true
	[ -z "$LOAD" ] || wait "$LOAD" || true
	LOAD=
}

teardown() {
	load_off
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 8 "$T/summary" "$T/err" "$T/events" "$T/follow.err" || true
	[ -z "$NETWORK" ] || kill "$NETWORK" 2>/dev/null || true
	[ -z "$FOLLOWER" ] || SIGNAL=KILL follow_end || true
	rm -f "$T/fill"
	umount "$T/j" 2>/dev/null || umount -l "$T/j" 2>/dev/null || true
	rm -rf "${T:?}"
}

# below N: 0 to N - 1, by the seed.
below() {
	RANDOM_AT=$(((RANDOM_AT * 1103515245 + 12345) % 2147483648))
	DRAWN=$((RANDOM_AT / 65536 % $1))
}

shuffled() {
	local list i
	read -ra list <<<"$1"
	for ((i = ${#list[@]} - 1; i > 0; i--)); do
		below $((i + 1))
		set -- "${list[i]}" "${list[DRAWN]}"
		list[i]=$2
		list[DRAWN]=$1
	done
	ORDER="${list[*]}"
}

# A little, so that it is not always at the same point.
a_moment() {
	below 900
	sleep "0.$((DRAWN + 100))"
}

# The master starts so many seconds before its next full hour; without them, up
# to 20.  It keeps its images: an hour may end and it be stopped while one that
# is before all of that is compared with.
master_up() {
	local before=$1
	if [ -z "$before" ]; then
		below 18
		before=$((DRAWN + 2))
	fi
	HOURS=$((HOURS + 1))
	mfs_start s 9930 --set BACK_META_KEEP_PREVIOUS=50 --at "$(date -u -d "2026-11-21 UTC + $HOURS hours - $before seconds" '+%F %T')"
}

# Changes all the time, by a client that never ends by itself: mfsmaster forgets
# those that do when it saves an image, and cannot restore its own log then.
load_on() {
	while [ ! -e "$T/enough" ]; do
		"$(mfs_ops_program)" 127.0.0.1 9932 /load 100000000 "${MFS_RATE:-2500}" >/dev/null 2>&1 &
		echo $! >"$T/client"
		# It may have been enough when there was no client to end.
		[ ! -e "$T/enough" ] || kill $!
		wait $! || sleep 0.2
	done
}

# The master's images as they lie there; it renames them while we look.
images() {
	find "$(mfs_data s)" -name 'metadata.mfs.back*' ! -name '*.tmp' -printf '%f %i %T@\n' | sort
}

# The newest that is not newer than a change, in $T/dead; v is its version.
own_image() {
	local image before='' f
	until [ -n "$before" ] && [ "$(images)" = "$before" ]; do
		before=$(images)
		rm -rf "$T/dead"
		mkdir "$T/dead"
		v=1
		printf 'MFSM NEW' >"$T/dead/metadata.mfs.back"
		for image in "$(mfs_data s)"/metadata.mfs.back*; do
			[ "${image%.tmp}" = "$image" ] || continue
			cp "$image" "$T/image" 2>/dev/null || continue
			f=$(mfs_version "$T/image")
			if [ "${f:-0}" -gt "$v" ] && [ "$f" -le $(($1 + 1)) ]; then
				v=$f
				mv "$T/image" "$T/dead/metadata.mfs.back"
			fi
		done
	done
}

# own LAST: the master's own set up to a change, in $T/dead: its newest image
# that is not newer, and the lines behind it.  Its log is written by another
# process of it, and renamed when an hour ends.
own() {
	local v _
	own_image "$1"
	for _ in $(seq 600); do
		cat "$(mfs_data s)"/changelog.*.mfs 2>/dev/null | sort -n -t : -k 1,1 -u |
			awk -F : -v a="$v" -v b="$1" '$1 >= a && $1 <= b' >"$T/dead/changelog.0.mfs"
		[ "$(wc -l <"$T/dead/changelog.0.mfs")" -eq $(($1 + 1 - v)) ] &&
			! tail -n 1 "$T/dead/changelog.0.mfs" | grep -qv ')' && break
		sleep 0.1
	done
	echo "the master's own: image $v, $(wc -l <"$T/dead/changelog.0.mfs") lines up to $1"
	[ "$(wc -l <"$T/dead/changelog.0.mfs")" -eq $(($1 + 1 - v)) ]
	mfs_plain_restore "$T/dead"
	[ "$(mfs_version "$T/dead/metadata.mfs")" -eq $(($1 + 1)) ]
}

# The content of an image, in an order that does not depend on hash tables, and
# without the clients' sessions: how much each did, and those that are gone and
# not deleted yet, are not in the log.
dump() { mfsmetadump "$1" | grep -av -e '^SESSION|' -e '^# section header: SESS' | sort; }

# kept LAST: the newest snapshot has it, and is what the master had then.
kept() {
	local last
	eventually reaches sealed "$1" net
	rm -rf "$T/new"
	coffer restore latest --to "moosefs:$T/new" -o owner="$(id -un):$(id -gn)" --json \
		2>"$T/err" | tail -n 1 >"$T/summary"
	[ "$(jq -r .proof "$T/summary")" = proven ]
	last=$(jq -r .last_change "$T/summary")
	echo "protected up to $1, restored up to $last"
	[ "$last" -ge "$1" ]
	own "$last"
	dump "$T/dead/metadata.mfs" >"$T/want"
	[ -s "$T/want" ]
	dump "$T/new/metadata.mfs" | diff "$T/want" - >"$T/differ" || true
	head -n 20 "$T/differ"
	[ ! -s "$T/differ" ]
}

# What the status tells as protected now, when it is, and changes are made.
protected_now() {
	local last
	until_is state protected net
	last=$(mfs_last s)
	eventually reaches last $((last + 100)) net
	a_moment
	until_is state protected net
	PROTECTED=$(status_of last net)
}

# What is freed meanwhile is taken, too.
fill() {
	while [ -e "$T/fill" ]; do
		head -c 1G /dev/zero >>"$T/j/other" 2>/dev/null || true
		sleep 0.05
	done
}

# A small disk of its own, if that can be had; else a limit on the size of
# files stands for it.
disk_full() {
	if mountpoint -q "$T/j"; then
		: >"$T/fill"
		fill 3>&- &
		FILLER=$!
	else
		prlimit --pid "$FOLLOWER" --fsize=1500:unlimited
	fi
}
disk_free() {
	if mountpoint -q "$T/j"; then
		rm "$T/fill"
		wait "$FILLER"
		rm "$T/j/other"
	else
		prlimit --pid "$FOLLOWER" --fsize=unlimited
	fi
}

follow_on() {
	trap '' XFSZ
	follow_start net -o timeout=2
	trap - XFSZ
}

cut_off() {
	network "$1"
	until_is state connecting net
	kept "$PROTECTED"
	network pass
}

more_holes_than() { [ "$(grep -c '"state":"hole"' "$T/events")" -gt "$1" ]; }

# Nothing else is told between two attempts.
stays_a_hole() {
	local told
	told=$(grep -c '"state":"' "$T/events")
	sleep 3
	[ "$(grep -c '"state":"' "$T/events")" -eq "$told" ] &&
		grep '"state":"' "$T/events" | tail -n 1 | grep -q '"state":"hole"'
}

# an_hour_ended SECONDS: its image, which is newer than $image, has come within
# some more.  A follower that connects while it is being saved gets the one
# before, and a master that is slow to start begins with the next hour.
an_hour_ended() {
	until_other $(($1 + 30)) "$image" mfs_saved s &&
		until_other 90 none base_is "$(mfs_saved s)"
}
base_is() {
	if [ "$(status_of first net)" = "$1" ]; then echo "$1"; else echo none; fi
}

happens() {
	case $1 in
	coffer)
		SIGNAL=KILL follow_end || true
		a_moment
		follow_on
		;;
	master)
		# What it tells and has not written when it is killed, it loses.
		network stall
		mfs_logged s
		SIGNAL=KILL mfs_stop s master
		network pass
		until_is state connecting net
		kept "$PROTECTED"
		master_up
		;;
	both)
		SIGNAL=KILL follow_end || true
		mfs_logged s
		SIGNAL=KILL mfs_stop s master
		# It seals what it has, though nobody answers.
		follow_on
		kept "$PROTECTED"
		master_up
		;;
	restarts)
		follow_end
		# One that is stopped may not write what it has not written yet.
		mfs_logged s "$(status_of last net)"
		mfs_stop s master
		kept "$PROTECTED"
		master_up
		follow_on
		;;
	stall | drop)
		cut_off "$1"
		;;
	full)
		holes=$(grep -c '"state":"hole"' "$T/events" || true)
		disk_full
		# The status lies on the same disk.
		eventually more_holes_than "$holes"
		eventually stays_a_hole
		disk_free
		;;
	hour)
		for seconds in 4 20 60; do
			mfs_stop s master
			image=$(mfs_version "$(mfs_data s)/metadata.mfs")
			master_up $seconds
			an_hour_ended $seconds && break
		done
		[ "$(status_of first net)" -gt "$image" ]
		;;
	esac
}

@test "moosefs: $OPS changes, each disaster among them, and nothing that was protected is missing" {
	new_repo
	seed=${MFS_SEED:-$(date +%N | sed 's/^0*//')}
	RANDOM_AT=$seed
	HOURS=0
	ORDER=
	for _ in $(seq "${MFS_ROUNDS:-1}"); do
		shuffled "$DISASTERS"
		all="$all $ORDER"
	done
	all=${MFS_ORDER:-$all}
	echo "MFS_SEED=$seed: $all"
	mkdir "$T/j"
	mount -t tmpfs -o size="$((200 * ${MFS_ROUNDS:-1}))M" tmpfs "$T/j" 2>/dev/null || true
	# With an image of its own: one that mfsmaster makes of none has the time
	# at which it does.
	master_up
	SIGNAL=KILL mfs_stop s master
	master_up
	mfs_via s net 9934
	load_on 3>&- &
	LOAD=$!
	follow_on
	for disaster in $all; do
		protected_now
		echo "$(date +%T) at $PROTECTED: $disaster"
		happens "$disaster"
		protected_now
		kept "$PROTECTED"
	done
	echo "$(date +%T) at $(mfs_last s): all have come"
	while [ "$(mfs_last s)" -lt "$OPS" ]; do
		sleep 0.2
	done
	load_off
	caught_up net
	follow_end
	kept "$CAUGHT"
	same_as_master s
	run ! grep -E '"(went back|other id)"' "$T/events"
	coffer check
}
