# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Real systems for a file of tests: it starts them in setup_file, each on its
# own range of ports, and teardown_file ends whatever was started.  setup,
# new_repo and what else tests/cli/helper.bash has come along.
#
#	load lab
#	setup_file() { ceph_cluster_start c1 7300; }
#	@test "..." {
#		new_repo
#		rbd -c "$(ceph_conf c1)" create --size 16 volumes/a
#		coffer backup -o conf="$(ceph_conf c1)" rbd:volumes/a
#	}

load ../cli/helper

LAB=${BATS_FILE_TMPDIR:-}

# ceph_cluster_start NAME PORT [options of ceph-up]: a Ceph with the pools
# volumes, backups and rbd, on the ports PORT to PORT + 19.
ceph_cluster_start() {
	local name=$1 port=$2
	shift 2
	command -v ceph-osd >/dev/null || skip "Ceph is not installed"
	command -v ceph-mon >/dev/null || skip "Ceph is not installed"
	# bats waits until all that inherited descriptor 3 have ended.
	"$BATS_TEST_DIRNAME/ceph-up" "$LAB/$name" "$port" "$@" 3>&-
}

# ceph_cluster_stop NAME [daemons]; SIGNAL=KILL for a crash.
ceph_cluster_stop() {
	local name=$1
	shift
	"$BATS_TEST_DIRNAME/ceph-down" "$LAB/$name" "$@"
}

# ceph_daemon_start NAME mon.a|osd.0: again, after ceph_cluster_stop.
ceph_daemon_start() {
	"ceph-${2%.*}" -c "$(ceph_conf "$1")" -i "${2#*.}" 3>&- >/dev/null 2>&1
}

# The ceph.conf of a cluster, which is all that a client needs.
ceph_conf() { echo "$LAB/$1/ceph.conf"; }

# rbd_on NAME ...: the rbd command on a cluster; likewise ceph_on.
rbd_on() {
	local conf
	conf=$(ceph_conf "$1")
	shift
	timeout 300 rbd -c "$conf" "$@"
}

ceph_on() {
	local conf
	conf=$(ceph_conf "$1")
	shift
	timeout 200 ceph -c "$conf" --connect-timeout 60 "$@"
}

# The sha256 of an image or, as IMAGE@SNAP, of a snapshot of it.
rbd_sum() {
	rbd_on "$1" export --no-progress "$2" - | sha256sum | cut -d ' ' -f 1
}

# mfs_start NAME PORT [options of mfs-up]: a MooseFS master, on the ports PORT
# (for metaloggers) to PORT + 2 (for clients).  Again after mfs_stop, it goes
# on with its file system.
mfs_start() {
	local name=$1 port=$2 what
	shift 2
	for what in mfsmaster mfsmetalogger; do
		PATH=$PATH:/usr/sbin command -v $what >/dev/null ||
			skip "MooseFS is not installed"
	done
	mfs_ops_program >/dev/null || skip "mfsops was not built (libmfsio-dev)"
	"$BATS_TEST_DIRNAME/mfs-up" "$LAB/$name" "$port" "$@" 3>&-
	echo "$port" >"$LAB/$name/port"
}

# mfs_stop NAME [ml] [master] [client]; SIGNAL=KILL for a crash.
mfs_stop() {
	local name=$1
	shift
	"$BATS_TEST_DIRNAME/mfs-down" "$LAB/$name" "$@"
}

# mfs_clock NAME [HOUR [SECONDS]]: what a master's clock, that was started with
# --clock, shows now: so long before the end of that hour of a day.  Before its
# start, too.
mfs_clock() {
	local hour=${2:-9} at
	at=$(($(date -u -d 2026-11-21 +%s) + (hour + 1) * 3600 - ${3:-3000}))
	mkdir -p "$LAB/$1"
	echo "$hour" >"$LAB/$1/hour"
	printf '%+d\n' $((at - $(date +%s))) >"$LAB/$1/clock.new"
	mv "$LAB/$1/clock.new" "$LAB/$1/clock"
}

# until_other SECONDS VALUE COMMAND...: what it prints is not that, nor nothing.
until_other() {
	local end=$((SECONDS + $1)) value=$2 is
	shift 2
	while [ $SECONDS -lt $end ]; do
		is=$("$@" 2>/dev/null) || true
		[ -z "$is" ] || [ "$is" = "$value" ] || return 0
		sleep 0.1
	done
	return 1
}

# mfs_hour_ends NAME log|image: until the master has rotated its log, or saved
# its image, where there were changes.  One that finds its clock behind the end
# of an hour, as where the machine is slow, does so at the next one.
mfs_hour_ends() {
	local name=$1 what=mfs_saved hour before seconds
	[ "$2" = image ] || what=mfs_rotated
	before=$($what "$name" 2>/dev/null) || true
	hour=$(cat "$LAB/$name/hour")
	for seconds in 2 15 60; do
		mfs_clock "$name" "$hour" $seconds
		hour=$((hour + 1))
		echo $hour >"$LAB/$name/hour"
		until_other $((seconds + 60)) "$before" $what "$name" && return 0
	done
	echo "the hour of $name does not end"
	return 1
}
mfs_rotated() { mfs_first_id "$(mfs_data "$1")/changelog.1.mfs"; }
mfs_saved() { mfs_version "$(mfs_data "$1")/metadata.mfs.back"; }

# What a metalogger connects to; the directory of a master's files.
mfs_address() {
	cat "$LAB/$1/address" 2>/dev/null || echo "127.0.0.1:$(cat "$LAB/$1/port")"
}
mfs_data() { echo "$LAB/$1/data"; }

# mfs_last NAME: the last change, of the master itself, which runs.  Its log is
# written by another process, a little later.
mfs_last() {
	python3 - "$(cat "$LAB/$1/port")" <<-'EOF'
		import socket, struct, sys
		s = socket.create_connection(('127.0.0.1', int(sys.argv[1]) + 2), 60)
		s.sendall(struct.pack('>II', 510, 0))
		f = s.makefile('rb')
		size = struct.unpack('>II', f.read(8))[1]
		print(struct.unpack('>Q', f.read(size)[-28:-20])[0] - 1)
	EOF
}

# mfs_logged NAME [LAST]: until the master's log has it, or all that there is.
mfs_logged() {
	local last=${2:-} _
	[ -n "$last" ] || last=$(mfs_last "$1")
	for _ in $(seq 1200); do
		tail -q -n 2 "$(mfs_data "$1")"/changelog.[0-3].mfs 2>/dev/null |
			awk -F : -v last="$last" 'NF > 1 && $1 + 0 >= last { r = 1 } END { exit !r }' && return 0
		sleep 0.1
	done
	echo "the log of $1 does not have $last"
	return 1
}

# mfs_ops NAME DIR COUNT [PER_SECOND]: so many changes, below DIR, all of them
# in the log.
mfs_ops() {
	local name=$1
	shift
	"$(mfs_ops_program)" 127.0.0.1 $(($(cat "$LAB/$name/port") + 2)) "$@"
	mfs_logged "$name"
}

# mfs_ops_on NAME PER_SECOND: changes without an end, or until mfs_ops_off NAME.
mfs_ops_on() {
	"$(mfs_ops_program)" 127.0.0.1 $(($(cat "$LAB/$1/port") + 2)) /all 100000000 "$2" \
		>/dev/null 2>&1 3>&- &
	echo $! >"$LAB/$1/client.pid"
}
mfs_ops_off() { mfs_stop "$1" client; }

mfs_ops_program() {
	local program
	program=$(dirname "${COFFER:-$PWD/build/coffer}")/tests/lab/mfsops
	[ -x "$program" ] && echo "$program"
}

# mfs_plain_restore DIR: what a plain "mfsmaster -a restore" makes of a
# directory, DIR/metadata.mfs; its status is in $plain.
mfs_plain_restore() {
	printf '%s = %s\n' WORKING_USER "$(id -un)" WORKING_GROUP "$(id -gn)" \
		NICE_LEVEL 0 DISABLE_OOM_KILLER 0 DATA_PATH "$1" >"$T/plain.cfg"
	plain=0
	PATH=$PATH:/usr/sbin:/sbin mfsmaster -f -c "$T/plain.cfg" -a restore \
		>"$T/plain.log" 2>&1 3>&- || plain=$?
	echo "plain: status $plain"
}

# The version of an image: the id of the first change that is not in it.
mfs_version() { od -An -v -tu8 --endian=big -j 8 -N 8 "$1" | tr -d ' '; }

# The ids of a log file's first and last line.
mfs_first_id() { head -n 1 "$1" | cut -d : -f 1; }
mfs_last_id() { tail -n 1 "$1" | cut -d : -f 1; }

teardown_file() {
	local dir
	for dir in "$LAB"/*/; do
		[ ! -e "$dir/master.cfg" ] || SIGNAL=KILL mfs_stop "$(basename "$dir")" client ml master
		[ ! -e "$dir/ceph.conf" ] || SIGNAL=KILL ceph_cluster_stop "$(basename "$dir")"
	done
}
