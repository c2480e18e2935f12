#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Nine ways in which the metadata of a MooseFS get lost silently with what is
# usual: a real mfsmetalogger, or a plain mfsmaster -a, and coffer at the same
# master in the same situation.
#
#  1 whoever reaches the port gets all of it          here
#  2 a torn log is left out whole, with status 0      here; each kind of damage: mfs_restore.bats
#  3 mfsmetalogger's live log is torn most of the time  here; glued lines: mfs_restore.bats
#  4 what is behind a jump of 10,000 ids is dropped, with status 0  here; mfs_restore.bats
#  5 mfsmetalogger deletes when another file system answers  here; test_mfs_datadir
#  6 a restart of mfsmetalogger leaves a hole         here
#  7 after a start with -a there is no image          here; what was restored: mfs_restore.bats
#  8 with METADATA_SAVE_FREQ the logs do not reach back to the image  here
#  9 so: the id and the chain are checked, whole lines, synced, nothing is
#    deleted, protected is proven                     here; mfs_disasters.bats
#
#
# A tenth one is of mfsmaster itself: an image that was saved after somebody
# unmounted and the log behind it do not go together; mfs_restore.bats.  And a
# network that is cut.  Ports 9660 to 9672 and 9936 to 9946.

bats_require_minimum_version 1.5.0
load lab
load follow

# A clock that has far to go to the end of its hour.
CLOCK='2026-11-21 09:10:00'

# Of mfs_plain_restore.
plain=

setup_file() { mfs_start a 9660 --at "$CLOCK" --metalogger; }

# short_logs NAME PORT [options]: a master that saves an image every 24th hour:
# what can be downloaded of its log begins behind it, which is version $V.  It
# has a client.
short_logs() {
	local _
	mfs_start "$@" --set METADATA_SAVE_FREQ=24 --at "$CLOCK"
	mfs_ops "$1" /base 80 >/dev/null
	SIGNAL=KILL mfs_stop "$1" master
	mfs_clock "$1"
	mfs_start "$1" "$2" --clock
	V=$(mfs_saved "$1")
	mfs_ops_on "$1" 20
	for _ in 1 2; do
		until_grows "$1"
		mfs_hour_ends "$1" log
	done
	[ "$(mfs_rotated "$1")" -gt "$V" ]
	[ "$(mfs_saved "$1")" -eq "$V" ]
}

# until_grows NAME: it has a client that changes things.
until_grows() {
	eventually has_more_than "$1" $(($(mfs_last "$1") + 10))
}
has_more_than() { [ "$(mfs_last "$1")" -gt "$2" ]; }

# The size of the image and its first 8 bytes, as a peer gets them that never
# registered; "none".
ask_image() {
	python3 - "$(cat "$LAB/${1:-a}/port")" <<-'EOF'
		import socket, struct, sys
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60)
		f = s.makefile('rb')
		s.sendall(struct.pack('>IIB', 60, 1, 1))
		if struct.unpack('>II', f.read(8))[1] == 1:
		    print('none' if f.read(1) == b'\xff' else '?')
		    sys.exit()
		size = struct.unpack('>Q', f.read(8))[0]
		s.sendall(struct.pack('>IIQI', 62, 12, 0, 8))
		print(size, f.read(32)[24:32].decode())
	EOF
}

# ml_has ID: it writes what it has once a second.
ml_has() { eventually ends_behind "$LAB/a/ml/changelog_ml.0.mfs" "$1"; }
ends_behind() {
	[ -s "$1" ] && [ -z "$(tail -c 1 "$1")" ] && [ "$(mfs_last_id "$1")" -ge "$2" ]
}

# ml_start NAME PORT [options]: what it downloads when it has connected is there.
ml_start() {
	mfs_start "$@" --metalogger
	eventually grep -q 'changelog_1 downloaded' "$LAB/$1/ml.log"
}

# What mfsmetalogger has, in $T/ml; it may replace files while they are copied.
copy_ml() {
	local _
	for _ in $(seq 100); do
		rm -rf "$T/ml"
		mkdir "$T/ml"
		cp "$LAB/$1"/ml/*_ml*.mfs* "$T/ml" && return 0
	done
	return 1
}

# The ids on standard input that do not follow the one before.
jumps() { cut -d : -f 1 | awk 'NR > 1 && $1 != last + 1; { last = $1 }'; }

@test "moosefs: a new master has eight bytes for an image: no set for mfsmetalogger, one for follow" {
	new_repo
	[ "$(ask_image)" = "8 MFSM NEW" ]
	ml_start a 9660
	[ ! -e "$LAB/a/ml/metadata_ml.mfs.back" ]
	follow_start
	until_is state protected
	mfs_ops a /fresh 50 >/dev/null
	caught_up
	follow_end
	same_as_master
	[ "$(mfs_first_id "$T/lines")" -eq 1 ]
}

@test "finding 6: a restart of mfsmetalogger leaves a hole in its log, one of follow none" {
	new_repo
	follow_start
	until_is state protected
	mfs_ops a /before 40 >/dev/null
	caught_up
	ml_has "$CAUGHT"
	mfs_stop a ml
	SIGNAL=KILL follow_end || true
	mfs_ops a /missed 200 >/dev/null
	ml_start a 9660 --at "$CLOCK"
	follow_start
	until_is state protected
	mfs_ops a /behind 40 >/dev/null
	caught_up
	ml_has "$CAUGHT"
	[ "$(jumps <"$LAB/a/ml/changelog_ml.0.mfs" | wc -l)" -eq 1 ]
	run ! grep -q '|CREATE(1,missed,' "$LAB/a/ml/changelog_ml.0.mfs"
	follow_end
	same_as_master
	[ -z "$(jumps <"$T/lines")" ]
	grep -q '|CREATE(1,missed,' "$T/lines"
}

@test "moosefs: the network is cut, silently and by resets, while changes are made" {
	new_repo
	mfs_via a cut 9669
	follow_start cut -o timeout=2
	until_is state protected cut
	mfs_ops_on a 1500
	for how in stall drop; do
		until_grows a
		network "$how"
		until_is state connecting cut
		last=$(status_of last cut)
		until_grows a
		[ "$(status_of last cut)" -eq "$last" ]
		network pass
		until_is state protected cut
	done
	mfs_ops_off a
	caught_up cut
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
	run ! grep -E '"(hole|went back|other id)"' "$T/events"
}

@test "finding 1: whoever reaches the port gets the image, unregistered" {
	mfs_ops a /some 10 >/dev/null
	SIGNAL=KILL mfs_stop a master
	mfs_start a 9660 --at "$CLOCK"
	ask_image | grep -qx '[0-9]\{4,\} MFSM 2.0'
}

# ml_again: mfsmetalogger starts anew and has the image of now.
ml_again() {
	if [ "$(ask_image)" = "8 MFSM NEW" ]; then
		SIGNAL=KILL mfs_stop a master
		mfs_start a 9660 --at "$CLOCK"
	fi
	mfs_stop a ml
	rm -f "$LAB"/a/ml/metadata_ml.mfs.back* "$LAB"/a/ml/changelog_ml_back.*
	ml_start a 9660 --at "$CLOCK"
	[ -s "$LAB/a/ml/metadata_ml.mfs.back" ]
	[ -s "$LAB/a/ml/changelog_ml_back.0.mfs" ]
}

# What a plain mfsmaster -a and what coffer make of the files in $T/ml, as the
# versions $PLAIN and $OURS.
two_restores() {
	cp -r "$T/ml" "$T/plain"
	mfs_plain_restore "$T/plain"
	[ "$plain" -eq 0 ]
	PLAIN=$(mfs_version "$T/plain/metadata.mfs")
	coffer backup "moosefs:$T/ml" 2>"$T/err"
	coffer restore latest --to "moosefs:$T/new" -o owner="$(id -un):$(id -gn)" -q
	OURS=$(mfs_version "$T/new/metadata.mfs")
	echo "mfsmaster makes version $PLAIN of it, coffer $OURS"
}

has_lines() { [ -s "$live" ] && [ "$(wc -l <"$live")" -gt "$1" ]; }

@test "findings 2 and 3: a copy of mfsmetalogger's log under load is torn, and left out whole with status 0; but for the torn line nothing lacks here" {
	new_repo
	ml_again
	live=$LAB/a/ml/changelog_ml.0.mfs
	had=0
	[ ! -e "$live" ] || had=$(wc -l <"$live")
	mfs_ops_on a 2000
	before=$(mfs_last a)
	eventually has_lines $((had + 2000))
	for _ in $(seq 1000); do
		sleep 0.1
		copy_ml a
		[ -z "$(tail -c 1 "$T/ml/changelog_ml.0.mfs")" ] || break
	done
	mfs_ops_off a
	[ -n "$(tail -c 1 "$T/ml/changelog_ml.0.mfs")" ]
	last=$(head -n -0 "$T/ml/changelog_ml.0.mfs" | sed '$d' | tail -n 1 | cut -d : -f 1)
	two_restores
	grep -q 'torn line' "$T/err"
	[ "$OURS" -eq $((last + 1)) ]
	[ "$PLAIN" -le $((before + 1)) ] || [ "$PLAIN" -lt $((last - 500)) ]
}

@test "findings 4 and 6: mfsmetalogger was away for 10,000 changes: what comes after is dropped, with status 0; of the same files nothing is lost here" {
	new_repo
	mfs_ops a /near 40 >/dev/null
	ml_again
	mfs_ops a /near 40 >/dev/null
	ml_has "$(mfs_last a)"
	mfs_stop a ml
	mfs_ops a /away 10400 >/dev/null
	ml_again
	mfs_ops a /late 400 >/dev/null
	ml_has "$(mfs_last a)"
	copy_ml a
	[ -z "$(tail -c 1 "$T/ml/changelog_ml.0.mfs")" ]
	last=$(mfs_last_id "$T/ml/changelog_ml.0.mfs")
	two_restores
	[ "$PLAIN" -lt $((last - 300)) ]
	[ "$OURS" -eq $((last + 1)) ]
}

nothing_precious() { ! grep -qs '|CREATE(1,precious2,' "$LAB/a/ml"/changelog_ml*; }

@test "findings 5 and 9: another file system answers: mfsmetalogger deletes what it had, follow keeps it" {
	new_repo
	mfs_ops a /precious 400 >/dev/null
	follow_start
	until_is state protected
	mfs_ops a /precious2 40 >/dev/null
	caught_up
	ml_has "$CAUGHT"
	name=$(status_of name)
	grep -q '|CREATE(1,precious2,' "$LAB/a/ml"/changelog_ml.*
	SIGNAL=KILL mfs_stop a master
	rm -rf "$(mfs_data a)"
	mkdir "$(mfs_data a)"
	mfs_start a 9660 --at "$CLOCK"
	mfs_ops a /new 20 >/dev/null
	until_other 300 "$name" status_of name
	eventually nothing_precious
	until_is state protected
	[ "$(status_of name)" != "$name" ]
	follow_end
	grep -q '"other id"' "$T/events"
	# On this disk, and in the repository.
	grep -q '|CREATE(1,precious2,' \
		"$(journal_of a)/${name#*#}"/changelog.*.mfs
	old=$(coffer snapshots --json | grep -F "\"$name\"" | tail -n 1 |
		sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
	coffer ls "$old" | grep changelog/ | while read -r path; do
		coffer cat "$old:$path"
	done | grep -q '|CREATE(1,precious2,'
}

@test "finding 7: after a start with -a there is no image until an hour ends: mfsmetalogger has no set then, either; follow has one" {
	new_repo
	mfs_start f 9944 --at "$CLOCK"
	mfs_ops f /before 40 >/dev/null
	SIGNAL=KILL mfs_stop f master
	mv "$(mfs_data f)/metadata.mfs.back" "$(mfs_data f)/metadata_ml.mfs.back"
	mv "$(mfs_data f)/changelog.0.mfs" "$(mfs_data f)/changelog_ml.0.mfs"
	mfs_clock f
	mfs_start f 9944 --auto --clock --metalogger
	[ "$(ask_image f)" = none ]
	follow_start f
	until_is state 'no image' f
	coffer follow --status "$T/j" && false
	mfs_ops f /after 40 >/dev/null
	mfs_hour_ends f image
	until_is state protected f
	[ "$(ask_image f)" != none ]
	[ ! -e "$LAB/f/ml/metadata_ml.mfs.back" ]
	mfs_ops f /later 40 >/dev/null
	caught_up f
	follow_end
	same_as_master f
	mfs_stop f ml
	SIGNAL=KILL mfs_stop f master
}

@test "finding 8: the logs do not reach back to the image: mfsmetalogger has no set, follow has what the master remembers" {
	new_repo
	short_logs h 9936 --keep 15000
	ml_start h 9936 --clock
	copy_ml h
	for log in "$T"/ml/changelog*; do
		sed -i '/^[0-9]*: [0-9]*|.*)[^)]*$/!d' "$log"
	done
	mfs_plain_restore "$T/ml"
	[ "$plain" -eq 1 ]
	fails_with 1 "do not reach back to its image" backup "moosefs:$(mfs_address h)"
	follow_start h
	until_is state protected h
	[ "$(status_of first h)" -eq "$V" ]
	mfs_ops_off h
	caught_up h
	follow_end
	same_as_master h
	coffer restore latest --to "moosefs:$T/new" -o owner="$(id -un):$(id -gn)" -q
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(cat "$T/last") + 1)) ]
	mfs_stop h ml
	SIGNAL=KILL mfs_stop h master
}

hole_is_told() { status_of why n | grep -q "^changes $V to [0-9]* are missing"; }

@test "finding 8: where the master does not remember, either, that is told, and it is right with its next image" {
	new_repo
	short_logs n 9940 --keep 0
	follow_start n
	until_is state hole n
	coffer follow --status "$T/j" && false
	eventually hole_is_told
	mfs_ops_off n
	SIGNAL=KILL mfs_stop n master
	mfs_start n 9940 --at "$CLOCK"
	# It asks for a new image once a minute.
	until_is state protected n
	[ "$(status_of first n)" -gt "$V" ]
	mfs_ops n /later 40 >/dev/null
	caught_up n
	follow_end
	same_as_master n
	SIGNAL=KILL mfs_stop n master
}
