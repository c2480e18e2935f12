#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ways in which changes of a MooseFS get lost silently: a real mfsmetalogger and
# coffer follow at the same master in the same situation; and a network that is
# cut.  Those of restoring are in mfs_restore.bats.  Ports 9660 to 9672.

bats_require_minimum_version 1.5.0
load lab
load follow

setup_file() { mfs_start a 9660 --metalogger; }

# The size of the image and its first 8 bytes, as a peer gets them that never
# registered.
ask_image() {
	python3 - "$(cat "$LAB/a/port")" <<-'EOF'
		import socket, struct, sys
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)
		s.sendall(struct.pack('>IIB', 60, 1, 1))
		size = struct.unpack('>IIQ', s.recv(16, socket.MSG_WAITALL))[2]
		s.sendall(struct.pack('>IIQI', 62, 12, 0, 8))
		print(size, s.recv(32, socket.MSG_WAITALL)[24:32].decode())
	EOF
}

# ml_has ID, for up to 10 s: it writes what it has once a second.
ml_has() {
	local _
	for _ in $(seq 100); do
		[ "$(tail -n 1 "$LAB/a/ml/changelog_ml.0.mfs" | cut -d : -f 1)" = "$1" ] &&
			return 0
		sleep 0.1
	done
	echo "mfsmetalogger has not got $1"
	return 1
}

# The ids on standard input that do not follow the one before.
jumps() { cut -d : -f 1 | awk 'NR > 1 && $1 != last + 1; { last = $1 }'; }

@test "moosefs: a new master has eight bytes for an image: no set for mfsmetalogger, one for follow" {
	new_repo
	[ "$(ask_image)" = "8 MFSM NEW" ]
	sleep 1
	[ ! -e "$LAB/a/ml/metadata_ml.mfs.back" ]
	follow_start
	until_is state protected
	mfs_ops a /fresh 50 >/dev/null
	sleep 0.3
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
	sleep 0.3
	caught_up
	ml_has "$(last_of)"
	mfs_stop a ml
	SIGNAL=KILL follow_end || true
	mfs_ops a /missed 200 >/dev/null
	mfs_start a 9660 --metalogger
	follow_start
	until_is state protected
	sleep 1
	mfs_ops a /behind 40 >/dev/null
	sleep 0.3
	ml_has "$(last_of)"
	[ "$(jumps <"$LAB/a/ml/changelog_ml.0.mfs" | wc -l)" -eq 1 ]
	run ! grep -q '|CREATE(1,missed,' "$LAB/a/ml/changelog_ml.0.mfs"
	caught_up
	follow_end
	same_as_master
	[ -z "$(jumps <"$T/lines")" ]
	grep -q '|CREATE(1,missed,' "$T/lines"
}

@test "moosefs: the network is cut, silently and by resets, while changes are made" {
	new_repo
	mkdir -p "$LAB/cut"
	ln -sfn "$(mfs_data a)" "$LAB/cut/data"
	echo 9669 >"$LAB/cut/port"
	echo pass >"$T/mode"
	"$BATS_TEST_DIRNAME/tcp-cut" 9669 9660 "$T/mode" 3>&- &
	network=$!
	sleep 0.3
	follow_start cut -o timeout=2
	until_is state protected cut
	mfs_ops a /cut 12000 1500 >/dev/null 3>&- &
	changes=$!
	for how in stall drop; do
		sleep 0.5
		echo "$how" >"$T/mode"
		until_is state connecting cut
		[ "$(status_of last cut)" -lt "$(last_of)" ]
		echo pass >"$T/mode"
		until_is state protected cut
	done
	wait $changes
	sleep 0.3
	caught_up cut
	follow_end
	kill $network
	same_as_master
	[ "$(cat "$T/last")" = "$(last_of)" ]
	run ! grep -E '"(hole|went back|other id)"' "$T/events"
}

@test "finding 1: whoever reaches the port gets the image, unregistered" {
	mfs_ops a /some 10 >/dev/null
	sleep 0.3
	SIGNAL=KILL mfs_stop a master
	mfs_start a 9660
	ask_image | grep -qx '[0-9]\{4,\} MFSM 2.0'
}

@test "findings 5 and 9: another file system answers: mfsmetalogger deletes what it had, follow keeps it" {
	new_repo
	mfs_ops a /precious 400 >/dev/null
	sleep 0.3
	follow_start
	until_is state protected
	mfs_ops a /precious2 40 >/dev/null
	sleep 0.3
	caught_up
	ml_has "$(last_of)"
	name=$(status_of name)
	grep -q '|CREATE(1,precious2,' "$LAB/a/ml"/changelog_ml.*
	SIGNAL=KILL mfs_stop a master
	rm -rf "$(mfs_data a)"
	mkdir "$(mfs_data a)"
	mfs_start a 9660
	mfs_ops a /new 20 >/dev/null
	for _ in $(seq 100); do
		[ "$(status_of name)" != "$name" ] &&
			! grep -qs '|CREATE(1,precious2,' "$LAB/a/ml"/changelog_ml* && break
		sleep 0.1
	done
	run ! grep -qs '|CREATE(1,precious2,' "$LAB/a/ml"/changelog_ml*
	until_is state protected
	[ "$(status_of name)" != "$name" ]
	follow_end
	grep -q '"other id"' "$T/events"
	# On this disk, and in the repository.
	grep -q '|CREATE(1,precious2,' \
		"$T/j/$(mfs_address a | tr : _)/${name#*#}"/changelog.*.mfs
	old=$(coffer snapshots --json | grep -F "\"$name\"" | tail -n 1 |
		sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
	coffer ls "$old" | grep changelog/ | while read -r path; do
		coffer cat "$old:$path"
	done | grep -q '|CREATE(1,precious2,'
}
