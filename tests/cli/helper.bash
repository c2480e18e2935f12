# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A scratch place, a repository in it, and words for what tests ask.

setup() {
	T=$(mktemp -d "${BATS_TMPDIR:-/tmp}/coffer-cli-XXXXXX")
	export COFFER_REPOSITORY=$T/repo COFFER_PASSWORD=secret
	export COFFER_CACHE_DIR=$T/cache TMPDIR=$T
	COFFER=${COFFER:-$PWD/build/coffer}
}

teardown() {
	! mountpoint -q "$T/small" || umount -l "$T/small"
	chmod -R u+rwX "$T" 2>/dev/null
	chattr -R -i -a "$T" 2>/dev/null
	rm -rf "$T"
}

coffer() { "$COFFER" "$@"; }

new_repo() {
	coffer init -q --kdf-memory 8K --kdf-passes 1 --pack-size 1M
}

# The status is $1 and there is exactly one line on standard error, which
# holds $2.
fails_with() {
	local want=$1 text=$2
	shift 2
	local status=0
	coffer "$@" >"$T/out" 2>"$T/err" || status=$?
	echo "status $status: $(cat "$T/err")"
	[ "$status" -eq "$want" ]
	[ "$(wc -l <"$T/err")" -eq 1 ]
	grep -qF -- "$text" "$T/err"
}

# within SECONDS COMMAND...: try it until it succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "in vain: $*"
			return 1
		fi
		sleep 0.02
	done
}

# Whether the process has read all that was written to the pipe at descriptor
# 7, and catches SIGTERM.
waits_for_more() {
	local caught
	/usr/bin/python3 -c 'import array, fcntl, sys, termios
n = array.array("i", [0])
fcntl.ioctl(7, termios.FIONREAD, n)
sys.exit(n[0] != 0)' || return
	caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status")
	[ $((0x${caught:-0} >> 14 & 1)) -eq 1 ]
}

# flip FILE OFFSET: turns one byte over, whatever it was.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\0$(printf %o $((byte ^ 255)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# A tree with a little of everything that an ordinary user can make.
small_tree() {
	mkdir -p "$1/sub/deep" "$1/empty"
	echo hello >"$1/a.txt"
	: >"$1/zero"
	head -c 300000 /dev/urandom >"$1/sub/random"
	seq 1 200000 >"$1/sub/deep/numbers"
	ln -s ../a.txt "$1/sub/link"
	ln "$1/a.txt" "$1/sub/hard"
	mkfifo "$1/fifo"
	printf 'odd' >"$1/$(printf 'new\nline\377')"
	truncate -s 5M "$1/sparse"
	printf 'x' | dd of="$1/sparse" bs=1 seek=3000000 conv=notrunc status=none
	touch -d '2001-02-03 04:05:06.789' "$1/a.txt"
	chmod 640 "$1/sub/random"
}

# What find tells of a tree, for comparing two.
listing() {
	(cd "$1" && find . -mindepth 1 -printf '%P %y %m %U %G %T@ %s %l %n\0' |
		sed -z 's/^\(.* d [0-7]* [0-9]* [0-9]* [0-9.]*\) .*/\1/' | sort -z)
}

same_tree() {
	diff -r --no-dereference "$1" "$2" &&
		cmp <(listing "$1") <(listing "$2")
}
