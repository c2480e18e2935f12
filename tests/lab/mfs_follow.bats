#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A real MooseFS master is followed, and one of the two or both are killed,
# moved on by an hour, or replaced.  What is told as protected is compared with
# the master's own files.  Ports 9600 to 9643.

load lab
load follow

# Clocks that have far to go to the end of their hour.
CLOCK='2026-11-21 09:10:00'

setup_file() { mfs_start a 9600 --at "$CLOCK"; }

# The lines of the journal of the newest generation, durable ones and those
# of the file at hand.
journal_last() {
	cat "$T"/j/*/"$(cat "$T"/j/*/current)"/changelog.*.mfs | cut -d : -f 1 |
		sort -n | tail -n 1
}

# until_moved: changes arrive, thousands of them.
until_moved() {
	local last
	last=$(status_of last)
	eventually reaches last $((last + 3000))
}

@test "moosefs: one set now is what the master has" {
	new_repo
	mfs_ops a /once 100
	last=$(mfs_last a)
	mfs_logged a "$last"
	coffer backup -q "moosefs:$(mfs_address a)"
	same_as_master
	[ "$(cat "$T/last")" -ge "$last" ]
	[ "$(coffer cat latest:/moosefs.json | tr , '\n' | grep '"last"' | tr -dc 0-9)" = "$(cat "$T/last")" ]
}

@test "moosefs: followed while 20,000 changes are made, sealed at the end" {
	new_repo
	follow_start
	until_is state protected
	mfs_ops a /many 20000 >/dev/null
	caught_up
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
	coffer check
}

@test "moosefs: the follower is killed under load and goes on where it was" {
	new_repo
	follow_start
	until_is state protected
	for i in 1 2 3; do
		mfs_ops a "/killed$i" 3000 2000 >/dev/null 3>&- &
		changes=$!
		sleep 0.7
		SIGNAL=KILL follow_end || true
		wait $changes
		follow_start
		until_is state protected
	done
	caught_up
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
	grep -c -E '"(hole|went back|other id)"' "$T/events" && false
	true
}

@test "moosefs: the master is killed under load and comes back" {
	new_repo
	follow_start
	until_is state protected
	mfs_ops_on a 5000
	until_moved
	SIGNAL=KILL mfs_stop a master
	mfs_ops_off a
	until_is state connecting
	protected=$(status_of last)
	mfs_start a 9600 --at "$CLOCK"
	until_is state protected
	mfs_ops a /again 100 >/dev/null
	caught_up
	[ "$CAUGHT" -gt "$protected" ]
	follow_end
	same_as_master
}

@test "moosefs: both are killed; nothing that was protected is missing" {
	new_repo
	follow_start
	until_is state protected
	mfs_ops_on a 5000
	until_moved
	SIGNAL=KILL follow_end || true
	protected=$(status_of last)
	SIGNAL=KILL mfs_stop a master
	mfs_ops_off a
	[ "$(journal_last)" -ge "$protected" ]
	# What the dead master has, and the journal up to there, is the same.
	cat "$(mfs_data a)"/changelog.*.mfs | sort -n -t : -k 1,1 -u >"$T/own"
	# shellcheck disable=SC2046,SC2012  # names without blanks, in their order
	cat $(ls -v "$T"/j/*/"$(cat "$T"/j/*/current)"/changelog.*.mfs) >"$T/lines"
	head -n -1 "$T/lines" | grep -Fxvf "$T/own" | head -3 >"$T/not"
	awk -F : -v last="$(tail -n 1 "$T/own" | cut -d : -f 1)" '$1 <= last' \
		"$T/not" >"$T/wrong"
	[ ! -s "$T/wrong" ]
	mfs_start a 9600 --at "$CLOCK"
	follow_start
	until_is state protected
	mfs_ops a /after 50 >/dev/null
	caught_up
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$protected" ]
}

# A limit on the size of files stands for a full disk: writes fail amid a line.
@test "moosefs: the journal's disk is full for a while" {
	new_repo
	trap '' XFSZ
	follow_start
	trap - XFSZ
	until_is state protected
	mfs_ops a /full1 300 >/dev/null
	caught_up
	before=$(status_of last)
	prlimit --pid "$FOLLOWER" --fsize=4000:unlimited
	mfs_ops a /full2 2000 >/dev/null
	until_is state hole
	[ "$(status_of last)" -ge "$before" ]
	prlimit --pid "$FOLLOWER" --fsize=unlimited
	until_is state protected
	mfs_ops a /full3 50 >/dev/null
	caught_up
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
}

@test "moosefs: the repository is away; what it missed is sealed later" {
	new_repo
	follow_start
	until_is state protected
	mkdir "$T/away"
	kill -STOP "$FOLLOWER"
	for d in "$T"/repo/*/; do
		mv "$d" "$T/away"
		: >"${d%/}"
	done
	kill -CONT "$FOLLOWER"
	mfs_ops a /away 500 >/dev/null
	caught_up
	eventually grep -q 'not sealed' "$T/follow.err"
	until_is state protected
	kill -STOP "$FOLLOWER"
	for d in "$T"/away/*/; do
		rm "$T/repo/$(basename "$d")"
		mv "$d" "$T/repo"
	done
	kill -CONT "$FOLLOWER"
	follow_end
	same_as_master
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
}

@test "moosefs: an hour ends: its image is the new base, the old lines go" {
	new_repo
	mfs_clock h
	mfs_start h 9610 --clock
	follow_start h
	until_is state protected h
	mfs_ops_on h 300
	mfs_hour_ends h image
	mfs_ops_off h
	mfs_ops h /next 100 >/dev/null
	caught_up h
	until_is first "$(mfs_saved h)" h
	[ "$(mfs_saved h)" -gt 1 ]
	follow_end
	same_as_master h
	[ "$(find "$T/j" -name 'metadata.*.mfs' | wc -l)" -eq 1 ]
	coffer cat "latest:$(coffer ls latest | grep metadata.mfs)" |
		cmp - "$(mfs_data h)/metadata.mfs.back"
	SIGNAL=KILL mfs_stop h
}

# until_branch NAME: a second generation of the same file system.
until_branch() {
	eventually is_branch "$1"
}
is_branch() { [[ $(status_of name "$1") == *.1 ]]; }

@test "moosefs: a master that went back begins a new generation" {
	new_repo
	mfs_start w 9620 --at "$CLOCK"
	mfs_ops w /a 100 >/dev/null
	SIGNAL=KILL mfs_stop w master
	cp -r "$(mfs_data w)" "$LAB/w.old"
	mfs_start w 9620 --at "$CLOCK"
	follow_start w
	until_is state protected w
	mfs_ops w /b 200 >/dev/null
	caught_up w
	before=$(status_of last w)
	SIGNAL=KILL mfs_stop w master
	rm -rf "$(mfs_data w)"
	cp -r "$LAB/w.old" "$(mfs_data w)"
	mfs_start w 9620 --at "$CLOCK"
	mfs_ops w /c 10 >/dev/null
	until_branch w
	until_is state protected w
	[[ $(status_of name w) == *.1 ]]
	caught_up w
	follow_end
	grep -q '"went back"' "$T/events"
	same_as_master w
	# Both histories are there, each by its own name.
	[ "$(coffer snapshots --json | grep -o 'moosefs:[^"]*' | sort -u | wc -l)" -eq 2 ]
	old=$(ls -d "$T"/j/*/*.1)
	old=${old%.1}
	cat "$old"/changelog.*.mfs | cut -d : -f 1 | grep -qx "$before"
	SIGNAL=KILL mfs_stop w
}

@test "moosefs: a master that went back and says nothing" {
	new_repo
	mfs_start i 9640 --at "$CLOCK"
	mfs_ops i /a 100 >/dev/null
	SIGNAL=KILL mfs_stop i master
	cp -r "$(mfs_data i)" "$LAB/i.old"
	mfs_start i 9640 --at "$CLOCK"
	follow_start i
	until_is state protected i
	mfs_ops i /b 200 >/dev/null
	caught_up i
	SIGNAL=KILL mfs_stop i master
	rm -rf "$(mfs_data i)"
	cp -r "$LAB/i.old" "$(mfs_data i)"
	mfs_start i 9640 --at "$CLOCK"
	until_branch i
	until_is state protected i
	[[ $(status_of name i) == *.1 ]]
	follow_end
	grep -q '"went back"' "$T/events"
	SIGNAL=KILL mfs_stop i
}

@test "moosefs: another file system at the same address" {
	new_repo
	mfs_start o 9630 --at "$CLOCK"
	mfs_ops o /a 50 >/dev/null
	follow_start o
	until_is state protected o
	name=$(status_of name o)
	SIGNAL=KILL mfs_stop o
	rm -rf "$(mfs_data o)"
	mkdir "$(mfs_data o)"
	mfs_start o 9630 --at "$CLOCK"
	mfs_ops o /x 20 >/dev/null
	until_other 300 "$name" status_of name o
	until_is state protected o
	[ "$(status_of name o)" != "$name" ]
	caught_up o
	follow_end
	grep -q '"other id"' "$T/events"
	same_as_master o
	[ -d "$(journal_of o)/${name#*#}" ]
	SIGNAL=KILL mfs_stop o
}

@test "moosefs: from the files of a master, torn ones and ones with holes" {
	new_repo
	mfs_ops a /disk 100 >/dev/null
	cp -r "$(mfs_data a)" "$T/data"
	coffer backup -q "moosefs:$T/data"
	same_as_master
	last=$(cat "$T/last")
	newest=$T/data/changelog.0.mfs
	[ -s "$newest" ] || newest=$T/data/changelog.1.mfs
	truncate -s -5 "$newest"
	coffer backup "moosefs:$T/data" 2>"$T/err"
	grep -q 'torn line' "$T/err"
	same_as_master
	[ "$(cat "$T/last")" -eq $((last - 1)) ]
	sed -i "/^$((last - 20)):/d" "$newest"
	fails_with 1 "changes $((last - 20)) to $((last - 20)) are missing" \
		backup "moosefs:$T/data"
	coffer backup -q -o partial=yes "moosefs:$T/data" 2>/dev/null
	same_as_master
	[ "$(cat "$T/last")" -eq $((last - 21)) ]
}

@test "moosefs: over IPv6" {
	python3 -c 'import socket; socket.create_server(("::1", 0), family=socket.AF_INET6)' ||
		skip "there is no ::1 here"
	new_repo
	mfs_via a six '[::1]:9643'
	follow_start six
	until_is state protected six
	mfs_ops a /six 300 >/dev/null
	caught_up six
	follow_end
	same_as_master six
	[ "$(cat "$T/last")" -ge "$CAUGHT" ]
	coffer snapshots --json | grep -qF '"moosefs:[::1]:9643#'
	coffer backup -q 'moosefs:[::1]:9643'
	same_as_master six
}

status_is_good() { coffer follow --status "$T/j" >"$T/out" && grep -q protected "$T/out"; }

@test "moosefs: the status of what is followed, and its exit status" {
	new_repo
	follow_start
	until_is state protected
	eventually status_is_good
	fails_with 1 "another process follows" follow \
		"moosefs:$(mfs_address a)" -o journal="$T/j"
	SIGNAL=KILL follow_end || true
	printf '{"x":1}' >"$(journal_of a)/status.json"
	coffer follow --status "$T/j" && false
	fails_with 1 "nothing is followed here" follow --status "$T/none"
}
