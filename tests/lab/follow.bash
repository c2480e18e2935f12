# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# coffer follow at a master that mfs_start started; what a test leaves running
# is ended behind it.  Without a NAME the master is a.
#
#	load lab
#	load follow

FOLLOWER=
READER=
NETWORK=

# mfs_via MASTER NAME LISTEN: NAME is the same master behind a network that can
# be cut (tcp-cut) by network.
mfs_via() {
	mkdir -p "$LAB/$2"
	ln -sfn "$(mfs_data "$1")" "$LAB/$2/data"
	cp "$LAB/$1/port" "$LAB/$2/port"
	case $3 in
	*:*) echo "$3" >"$LAB/$2/address" ;;
	*) echo "127.0.0.1:$3" >"$LAB/$2/address" ;;
	esac
	network pass
	"$BATS_TEST_DIRNAME/tcp-cut" "$3" "$(cat "$LAB/$1/port")" "$T/mode" 3>&- &
	NETWORK=$!
}

# network pass|stall|drop
network() {
	echo "$1" >"$T/mode.new"
	mv "$T/mode.new" "$T/mode"
}

# follow_start [NAME [options]].  What it says is written by another process,
# which a limit on the size of its own files does not touch.
follow_start() {
	rm -f "$T/pipe" "$T/stale"
	mkfifo "$T/pipe"
	cp "$(journal_of "${1:-a}")/status.json" "$T/stale" 2>/dev/null || true
	cat <"$T/pipe" >>"$T/events" 3>&- &
	READER=$!
	"$COFFER" follow "moosefs:$(mfs_address "${1:-a}")" -o journal="$T/j" \
		-o image-delay=1 --seal-every 1s --json "${@:2}" \
		>"$T/pipe" 2>>"$T/follow.err" 3>&- &
	FOLLOWER=$!
}

# One that is killed or asked to end; all of its events are there then.
follow_end() {
	kill -s "${SIGNAL:-TERM}" "$FOLLOWER"
	local status=0
	wait "$FOLLOWER" || status=$?
	wait "$READER" || true
	FOLLOWER=
	[ $status -eq 0 ] || cat "$T/follow.err"
	return $status
}

teardown() {
	[ -z "$FOLLOWER" ] || SIGNAL=KILL follow_end || true
	[ -z "$NETWORK" ] || kill "$NETWORK" 2>/dev/null || true
	rm -rf "${T:?}"
}

# Where follow keeps what it has of a master.
journal_of() {
	echo "$T/j/$(mfs_address "$1" | sed 's/[][]//g; s/:\([0-9]*\)$/_\1/')"
}

# status_of FIELD [NAME]; nothing where what lies there is of a process that
# ended before follow_start.
status_of() {
	python3 -c 'import json,sys
text = open(sys.argv[1]).read()
try:
    if open(sys.argv[3]).read() == text: sys.exit(1)
except OSError:
    pass
print(json.loads(text)[sys.argv[2]])' \
		"$(journal_of "${2:-a}")/status.json" "$1" "$T/stale" 2>/dev/null
}

# eventually COMMAND...: until it is true.  A master that saves an image for
# longer than a second is asked for it again a minute later.
eventually() {
	local end=$((SECONDS + 300))
	while [ $SECONDS -lt $end ]; do
		! "$@" || return 0
		sleep 0.1
	done
	echo "not in five minutes: $*"
	grep -v '"seal"' "$T/follow.err" "$T/events" | tail -n 30
	return 1
}

# FIELD VALUE [NAME] each: the status is that, or at least that.
is() { [ "$(status_of "$1" "$3")" = "$2" ]; }
reaches() {
	local value
	value=$(status_of "$1" "$3") && [ "${value:-0}" -ge "$2" ]
}

until_is() { eventually is "$@"; }

# has_come [FIELD [NAME]]: until the status tells at least the last change that
# the master has now, which is $CAUGHT.
has_come() {
	CAUGHT=$(mfs_last "${2:-a}")
	eventually reaches "${1:-last}" "$CAUGHT" "${2:-a}"
}

caught_up() { has_come last "${1:-a}"; }

# All lines of the newest snapshot, from its image on, are the master's own.
same_as_master() {
	local gen
	gen=$(coffer ls latest | sed -n 's|^/\(.*\)/metadata.mfs$|\1|p')
	[ -n "$gen" ]
	coffer ls latest | grep changelog/ | while read -r path; do
		coffer cat "latest:$path"
	done >"$T/lines"
	[ -s "$T/lines" ]
	local first last _
	first=$(mfs_first_id "$T/lines")
	last=$(mfs_last_id "$T/lines")
	echo "lines $first to $last"
	# It writes them later, and renames them all when its hour ends.
	for _ in $(seq 600); do
		cat "$(mfs_data "${1:-a}")"/changelog.*.mfs 2>/dev/null | sort -n -t : -k 1,1 -u |
			awk -F : -v a="$first" -v b="$last" '$1 >= a && $1 <= b' >"$T/own"
		cmp -s "$T/own" "$T/lines" && break
		sleep 0.1
	done
	diff "$T/own" "$T/lines" | head -n 5 >"$T/differ"
	cat "$T/differ"
	[ ! -s "$T/differ" ]
	echo "$last" >"$T/last"
}
