# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# coffer follow at a master that mfs_start started; what a test leaves running
# is ended behind it.  Without a NAME the master is a.
#
#	load lab
#	load follow

FOLLOWER=
NETWORK=

# mfs_via MASTER NAME LISTEN: NAME is the same master behind a network that can
# be cut (tcp-cut), by the file $T/mode.
mfs_via() {
	mkdir -p "$LAB/$2"
	ln -sfn "$(mfs_data "$1")" "$LAB/$2/data"
	case $3 in
	*:*) echo "$3" >"$LAB/$2/address" ;;
	*) echo "127.0.0.1:$3" >"$LAB/$2/address" ;;
	esac
	echo pass >"$T/mode"
	"$BATS_TEST_DIRNAME/tcp-cut" "$3" "$(cat "$LAB/$1/port")" "$T/mode" 3>&- &
	NETWORK=$!
}

# follow_start [NAME [options]]
follow_start() {
	"$COFFER" follow "moosefs:$(mfs_address "${1:-a}")" -o journal="$T/j" \
		-o image-delay=1 --seal-every 1s --json "${@:2}" \
		> >(cat >>"$T/events") 2>>"$T/follow.err" 3>&- &
	FOLLOWER=$!
}

# One that is killed or asked to end.
follow_end() {
	kill -s "${SIGNAL:-TERM}" "$FOLLOWER"
	local status=0
	wait "$FOLLOWER" || status=$?
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

status_of() { # FIELD [NAME]
	python3 -c 'import json,sys
print(json.load(open(sys.argv[1]))[sys.argv[2]])' \
		"$(journal_of "${2:-a}")/status.json" "$1" 2>/dev/null
}

# until_is FIELD VALUE [NAME], for up to 20 s
until_is() {
	local _
	for _ in $(seq 200); do
		[ "$(status_of "$1" "$3")" = "$2" ] && return 0
		sleep 0.1
	done
	echo "$1 is $(status_of "$1" "$3"), not $2"
	grep -v '"seal"' "$T/follow.err" "$T/events" | tail -n 30
	return 1
}

last_of() { cat "$(mfs_data "${1:-a}")"/changelog.0.mfs \
	"$(mfs_data "${1:-a}")"/changelog.1.mfs 2>/dev/null |
	cut -d : -f 1 | sort -n | tail -n 1; }

caught_up() { until_is last "$(last_of "$1")" "$1"; }

# All lines of the newest snapshot, from its image on, are the master's own.
same_as_master() {
	local gen
	gen=$(coffer ls latest | sed -n 's|^/\(.*\)/metadata.mfs$|\1|p')
	[ -n "$gen" ]
	coffer ls latest | grep changelog/ | while read -r path; do
		coffer cat "latest:$path"
	done >"$T/lines"
	[ -s "$T/lines" ]
	local first last n _
	first=$(mfs_first_id "$T/lines")
	last=$(mfs_last_id "$T/lines")
	echo "lines $first to $last"
	# It renames them all when its hour ends.
	for _ in $(seq 50); do
		cat "$(mfs_data "${1:-a}")"/changelog.*.mfs | sort -n -t : -k 1,1 -u |
			awk -F : -v a="$first" -v b="$last" '$1 >= a && $1 <= b' >"$T/own"
		n=$(wc -l <"$T/own")
		[ "$n" -ne $((last + 1 - first)) ] || break
		sleep 0.1
	done
	diff "$T/own" "$T/lines" | head -n 5 >"$T/differ"
	cat "$T/differ"
	[ ! -s "$T/differ" ]
	echo "$last" >"$T/last"
}
