#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images of consecutive hours, of a real master: each is an edit of the one
# before, and is what the master saved.  Its clock stands in a file (libfaketime),
# so that an hour ends when a test says so and the master goes on: the order of
# what is in its images stays.  Ports 9960 to 9962.

load lab
load follow

setup_file() {
	export PATH=$PATH:/usr/sbin:/sbin
	ls /usr/lib/*/faketime/libfaketime.so.1 || skip "faketime is not installed"
	mfs_clock a
	mfs_start a 9960 --clock
	mfs_ops a /some 24000
	mfs_hour_ends a image
}

saved() { echo "$(mfs_data a)/metadata.mfs.back"; }

# The next one, behind so many changes; its image is kept as $T/image.NAME.
another_hour() { # NAME CHANGES
	[ "$2" -eq 0 ] || mfs_ops a "/$1" "$2" >/dev/null
	mfs_hour_ends a image
	cp "$(saved)" "$T/image.$1"
}

record() { # SNAPSHOT MEMBER
	coffer cat "$1:/moosefs.json" 2>/dev/null | python3 -c '
import json,sys
print(json.load(sys.stdin).get(sys.argv[1]))' "$2"
}

# Until what was saved last is in a snapshot, which is $T/snap.NAME then.
sealed() { # NAME
	eventually is_sealed "$(mfs_saved a)"
	coffer snapshots --json | tail -n 1 | python3 -c '
import json,sys
print(json.load(sys.stdin)["id"])' >"$T/snap.$1"
}
is_sealed() { [ "$(record latest image_version 2>/dev/null)" = "$1" ]; }

# What all snapshots have stored; files of the repository are larger, to 4 KiB.
stored() {
	coffer snapshots --json | python3 -c '
import json,sys
print(sum(json.loads(row).get("bytes_stored", 0) for row in sys.stdin))'
}

# What sealing a new image takes, behind its lines, as $ADDED.
added_by_hour() { # NAME CHANGES
	local before
	mfs_ops a "/$1" "$2" >/dev/null
	has_come sealed
	before=$(stored)
	another_hour "$1" 0
	sealed "$1"
	ADDED=$(($(stored) - before))
}

same_image() { # NAME
	local snap
	snap=$(cat "$T/snap.$1")
	coffer cat "$snap:$(coffer ls "$snap" | grep 'metadata.mfs$')" |
		cmp - "$T/image.$1"
	[ "$(record "$snap" image_blake3)" != None ]
}

has_images() { [ "$(find "$T/j" -name 'metadata.*.mfs' | wc -l)" -eq "$1" ]; }

@test "moosefs: an hourly image is an edit of the one before, and whole without it" {
	new_repo
	follow_start
	until_is state protected
	sealed start
	cp "$(saved)" "$T/image.start"
	first=$(stored)
	for hour in one two; do
		added_by_hour $hour 160
		echo "$hour: $ADDED of $first"
		[ $((ADDED * 100)) -lt $((first * 15)) ]
		eventually has_images 1
	done
	[ "$(awk '/^VmHWM/ { print $2 }' "/proc/$FOLLOWER/status")" -lt 26000 ]
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
	# The first sealing comes at once, where the machine has run for as long.
	uptime=$(cut -d . -f 1 /proc/uptime)
	every=3600
	[ "$uptime" -ge 7200 ] || every=$((uptime + 7200))
	follow_as_writer --seal-every "${every}s"
	until_is state protected
	mfs_ops a /first 8 >/dev/null
	[ "$uptime" -lt 7200 ] || eventually reaches seals 1
	another_hour one 160
	eventually has_images 2
	SIGNAL=KILL follow_end || true
	[ "$(record latest image_version)" != "$(mfs_saved a)" ]
	before=$(stored)
	follow_as_writer
	sealed one
	until_is state protected
	added=$(($(stored) - before))
	echo "$added of $first"
	[ $((added * 100)) -lt $((first * 15)) ]
	follow_end
	has_images 1
	same_image one
	coffer check --read-data >/dev/null
}
