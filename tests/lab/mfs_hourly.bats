#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images of consecutive hours, of a real master: each is an edit of the one
# before, and is what the master saved.  Its clock stands in a file (libfaketime),
# so that an hour ends when a test says so and the master goes on: the order of
# what is in its images stays.  Ports 9960 to 9962.

load lab
load follow

setup_file() {
	local lib
	export PATH=$PATH:/usr/sbin:/sbin
	lib=$(ls /usr/lib/*/faketime/libfaketime.so.1) ||
		skip "faketime is not installed"
	mkdir -p "$LAB/a"
	echo 0 >"$LAB/a/hour"
	clock 1800
	LD_PRELOAD=$lib FAKETIME_TIMESTAMP_FILE=$LAB/a/clock FAKETIME_CACHE_DURATION=1 \
		FAKETIME_DONT_FAKE_MONOTONIC=1 mfs_start a 9960
	mfs_ops a /some 24000
	end_hour
}

# What libfaketime shares between processes stays where one is killed.
teardown_file() {
	local pid name
	pid=$(cat "$LAB/a/master.pid")
	for name in $(tr '\0' '\n' <"/proc/$pid/environ" |
		sed -n 's/^FAKETIME_SHARED=//p'); do
		rm -f "/dev/shm$name" "/dev/shm/sem.${name#/}"
	done
	SIGNAL=KILL mfs_stop a
}

# clock SECONDS: so long before the end of the hour at hand.
clock() {
	local now
	now=$(date +%s)
	echo "+$(((now / 3600 + 2 + $(cat "$LAB/a/hour")) * 3600 - $1 - now))" \
		>"$LAB/a/clock.new"
	mv "$LAB/a/clock.new" "$LAB/a/clock"
}

saved() { echo "$(mfs_data a)/metadata.mfs.back"; }
number() { od -An -v -tu8 --endian=big -j "$2" -N 8 "$1" | tr -d ' '; }
version() { number "$(saved)" 8 2>/dev/null; }

# Until the hour's image is saved.  A master that saw the clock leap over the
# end of an hour, as where the machine is slow, saves at the next one.
end_hour() {
	local before
	before=$(version)
	for _ in 1 2 3; do
		echo $(($(cat "$LAB/a/hour") + 1)) >"$LAB/a/hour"
		clock 3
		for _ in $(seq 70); do
			[ "$(version)" = "$before" ] || return 0
			sleep 0.1
		done
	done
	return 1
}

# The next one, behind so many changes; its image is kept as $T/image.NAME.
another_hour() { # NAME CHANGES
	[ "$2" -eq 0 ] || mfs_ops a "/$1" "$2" >/dev/null
	end_hour
	cp "$(saved)" "$T/image.$1"
}

record() { # SNAPSHOT MEMBER
	coffer cat "$1:/moosefs.json" 2>/dev/null | python3 -c '
import json,sys
print(json.load(sys.stdin).get(sys.argv[1]))' "$2"
}

# Until what was saved last is in a snapshot, which is $T/snap.NAME then.
sealed() { # NAME
	for _ in $(seq 100); do
		if [ "$(record latest image_version)" = "$(version)" ]; then
			coffer snapshots --json | tail -n 1 | python3 -c '
import json,sys
print(json.load(sys.stdin)["id"])' >"$T/snap.$1"
			return 0
		fi
		sleep 0.1
	done
	cat "$T/follow.err" "$T/events"
	return 1
}

# What all snapshots have stored; files of the repository are larger, to 4 KiB.
stored() {
	coffer snapshots --json | python3 -c '
import json,sys
print(sum(json.loads(row).get("bytes_stored", 0) for row in sys.stdin))'
}

# What sealing a new image takes, behind its lines.
added_by_hour() { # NAME CHANGES
	local before
	mfs_ops a "/$1" "$2" >/dev/null
	sleep 0.3
	until_is sealed "$(last_of)"
	before=$(stored)
	another_hour "$1" 0
	sealed "$1"
	echo $(($(stored) - before))
}

same_image() { # NAME
	local snap
	snap=$(cat "$T/snap.$1")
	coffer cat "$snap:$(coffer ls "$snap" | grep 'metadata.mfs$')" |
		cmp - "$T/image.$1"
	[ "$(record "$snap" image_blake3)" != None ]
}

images() { find "$T/j" -name 'metadata.*.mfs' | wc -l; }

@test "moosefs: an hourly image is an edit of the one before, and whole without it" {
	new_repo
	follow_start
	until_is state protected
	sealed start
	cp "$(saved)" "$T/image.start"
	first=$(stored)
	for hour in one two; do
		added=$(added_by_hour $hour 160)
		echo "$hour: $added of $first"
		[ $((added * 100)) -lt $((first * 15)) ]
		[ "$(images)" -eq 1 ]
	done
	[ "$(awk '/^VmHWM/ { print $2 }' "/proc/$FOLLOWER/status")" -lt 32000 ]
	follow_end
	for hour in start one two; do
		same_image $hour
	done
	[ "$(record latest master_version)" = 3.0.117 ]

	# Nothing of the first ones is left, and nothing lacks.
	coffer snapshots --json | python3 -c '
import json,sys
for row in map(json.loads, sys.stdin):
    if row["type"] == "snapshot": print(row["id"])' |
		grep -v -F -f "$T/snap.one" | grep -v -F -f "$T/snap.two" |
		xargs "$COFFER" forget -q >/dev/null
	coffer prune -q --max-unused 0 >/dev/null
	coffer check --read-data >/dev/null
	same_image one
	same_image two
	coffer restore -q "$(cat "$T/snap.two")" --target "$T/plain"
	cmp "$T"/plain/*/metadata.mfs "$T/image.two"
	coffer restore "$(cat "$T/snap.two")" --to "moosefs:$T/new" \
		-o owner="$(id -un)" >"$T/out" 2>&1 || {
		cat "$T/out"
		false
	}
	grep -q '^proven' "$T/out"
}

# By a key that cannot read what it wrote.
follow_as_writer() {
	COFFER_PASSWORD='' follow_start a --key-file "$T/writer" "$@"
}

@test "moosefs: killed between a new image and its snapshot" {
	new_repo
	coffer key generate -q "$T/writer"
	coffer key add -q --role writer --new-key-file "$T/writer"
	follow_as_writer
	until_is state protected
	sealed start
	first=$(stored)
	follow_end
	follow_as_writer --seal-every 600s
	until_is state protected
	another_hour one 160
	for _ in $(seq 100); do
		[ "$(images)" -eq 1 ] || break
		sleep 0.1
	done
	[ "$(images)" -eq 2 ]
	SIGNAL=KILL follow_end || true
	[ "$(record latest image_version)" != "$(version)" ]
	[ "$(images)" -eq 2 ]
	before=$(stored)
	follow_as_writer
	sealed one
	until_is state protected
	added=$(($(stored) - before))
	echo "$added of $first"
	[ $((added * 100)) -lt $((first * 15)) ]
	follow_end
	[ "$(images)" -eq 1 ]
	same_image one
	coffer check --read-data >/dev/null
}
