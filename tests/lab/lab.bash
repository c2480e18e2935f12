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
	timeout 120 rbd -c "$conf" "$@"
}

ceph_on() {
	local conf
	conf=$(ceph_conf "$1")
	shift
	timeout 60 ceph -c "$conf" --connect-timeout 20 "$@"
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

# mfs_stop NAME [ml] [master]; SIGNAL=KILL for a crash.
mfs_stop() {
	local name=$1
	shift
	"$BATS_TEST_DIRNAME/mfs-down" "$LAB/$name" "$@"
}

# What a metalogger connects to; the directory of a master's files.
mfs_address() {
	cat "$LAB/$1/address" 2>/dev/null || echo "127.0.0.1:$(cat "$LAB/$1/port")"
}
mfs_data() { echo "$LAB/$1/data"; }

# mfs_ops NAME DIR COUNT [PER_SECOND]: so many changes, below DIR.
mfs_ops() {
	local port
	port=$(($(cat "$LAB/$1/port") + 2))
	shift
	"$(mfs_ops_program)" 127.0.0.1 $port "$@"
}

# mfs_ops_on NAME PER_SECOND: changes without an end, or until mfs_ops_off NAME.
mfs_ops_on() {
	"$(mfs_ops_program)" 127.0.0.1 $(($(cat "$LAB/$1/port") + 2)) /all 100000000 "$2" \
		>/dev/null 2>&1 3>&- &
	echo $! >"$LAB/$1/client.pid"
}
mfs_ops_off() {
	kill "$(cat "$LAB/$1/client.pid")" 2>/dev/null || true
	rm "$LAB/$1/client.pid"
}

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
		[ ! -e "$dir/client.pid" ] || kill "$(cat "$dir/client.pid")" 2>/dev/null || true
		[ ! -e "$dir/master.cfg" ] || SIGNAL=KILL mfs_stop "$(basename "$dir")"
		[ ! -e "$dir/ceph.conf" ] || SIGNAL=KILL ceph_cluster_stop "$(basename "$dir")"
	done
}
