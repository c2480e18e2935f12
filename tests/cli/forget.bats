#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Which snapshots go, by name and by policy; what takes it back, and what
# prevents it.

bats_require_minimum_version 1.5.0
load helper
export TZ=UTC

# A snapshot of $T/tree that the store received at $1; the rest is flags of
# backup.  Its name goes to $id.
snap() {
	local at=$1 path
	shift
	mkdir -p "$T/tree"
	date +%N >"$T/tree/f"
	id=$(coffer backup --json --no-progress "$@" "$T/tree" |
		jq -r 'select(.type == "summary") | .id // .snapshot')
	path=$(find "$T/repo/snapshots" -name "$id*")
	[ -n "$path" ]
	id=${id:0:8}
	touch -d "$at" "$path"
}

# The same of a tree with a file that nobody may read; root does not count.
make_incomplete() {
	local as=() path
	if [ "$(id -u)" -eq 0 ]; then
		as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
		chown -R 65534:65534 "$T"
	fi
	chmod 000 "$T/tree/f"
	cp "$COFFER" "$T/coffer"
	objects >"$T/before"
	"${as[@]}" "$T/coffer" backup -q "$T/tree" 2>/dev/null || [ $? -eq 3 ]
	chmod 600 "$T/tree/f"
	path=$(objects | comm -13 "$T/before" - | grep /snapshots/)
	touch -d "$1" "$path"
	id=$(basename "$path")
	id=${id:0:8}
}

# The first eight digits of those that are left, oldest first by their own
# time.
left() { coffer snapshots --json "$@" | jq -r .short_id; }

objects() { find "$T/repo" -type f | sort; }

# of "forget --json": names of those that are kept, or removed
those() { jq -r "select(.action == \"$1\") | .short_id"; }

@test "a policy keeps what it says and tells why of each" {
	new_repo
	snap "2020-11-01 01:00"
	a=$id
	snap "2020-11-01 02:00"
	b=$id
	snap "2020-11-02 01:00"
	c=$id
	snap "2020-11-03 01:00"
	d=$id
	snap "2020-11-03 05:00"
	e=$id
	run -0 coffer forget --keep-daily 2 --keep-weekly 2
	[[ $output == *"remove  $a  2020-11-01 01:00:00  no rule keeps it"* ]]
	[[ $output == *"keep    $b  2020-11-01 02:00:00  weekly"* ]]
	[[ $output == *"keep    $c  2020-11-02 01:00:00  daily"* ]]
	[[ $output == *"remove  $d  2020-11-03 01:00:00  no rule keeps it"* ]]
	[[ $output == *"keep    $e  2020-11-03 05:00:00  daily, weekly"* ]]
	[[ $output == *"2 forgotten, 3 kept"* ]]
	[ "$(left)" = "$(printf '%s\n' "$b" "$c" "$e")" ]
	[ "$(left --forgotten)" = "$(printf '%s\n' "$a" "$d")" ]
	# What is left is what the policy keeps.
	run -0 coffer forget --keep-daily 2 --keep-weekly 2
	[[ $output == *"0 forgotten, 3 kept"* ]]
	run -0 coffer forget --keep-within 1d
	[[ $output == *"keep    $e  2020-11-03 05:00:00  within"* ]]
	[ "$(left)" = "$e" ]
}

@test "a dry run tells the same and writes nothing" {
	new_repo
	for n in 1 2 3 4; do snap "2020-11-0$n 01:00"; done
	objects >"$T/before"
	coffer forget --json --keep-last 2 --dry-run >"$T/dry"
	cmp "$T/before" <(objects)
	[ "$(left | wc -l)" -eq 4 ]
	coffer forget --json --keep-last 2 >"$T/done"
	cmp <(jq -c '[.action, .id, .reasons]' "$T/dry") \
		<(jq -c '[.action, .id, .reasons]' "$T/done")
	[ "$(those keep <"$T/done")" = "$(left)" ]
	[ "$(those remove <"$T/done")" = "$(left --forgotten)" ]
	jq -e 'select(.type == "forget_summary") |
		.kept == 2 and .removed == 2 and .dry_run == false' "$T/done"
	jq -e 'select(.type == "forget_summary") | .dry_run' "$T/dry"
}

@test "the last good one of a group stays" {
	new_repo
	snap "2020-11-01 01:00"
	snap "2020-11-02 01:00"
	good=$id
	make_incomplete "2020-11-03 01:00"
	make_incomplete "2020-11-04 01:00"
	run -0 coffer forget --keep-last 1
	[[ $output == *"keep    $good"*"last good one of its group"* ]]
	[[ $output == *"keep    $id"*"  last"* ]]
	[ "$(left)" = "$(printf '%s\n' "$good" "$id")" ]
	fails_with 2 "last good one" forget "$good"
	coffer forget -q "$id"
}

@test "forgotten by name: the last good one only with --force" {
	new_repo
	snap "2020-11-01 01:00"
	a=$id
	snap "2020-11-02 01:00"
	b=$id
	objects >"$T/before"
	fails_with 2 "last good one of its group" forget "$a" "$b"
	fails_with 2 "both" forget "$a" --keep-last 1
	fails_with 1 "no snapshot 00000000" forget 00000000
	fails_with 2 "not the name" forget latest
	cmp "$T/before" <(objects)
	run -0 coffer forget "$a"
	[[ $output == *"remove  $a"*"by name"* ]]
	fails_with 2 "last good one" forget "$b"
	coffer forget -q --force "$b"
	[ -z "$(left)" ]
	# Everything is there still.
	coffer undelete -q "$a" "$b"
	[ "$(left | wc -l)" -eq 2 ]
	coffer restore -q "$b:$T/tree" --target "$T/back"
	cmp "$T/tree/f" "$T/back/f"
	fails_with 1 "no forgotten snapshot" undelete "$a"
}

@test "no policy, or an empty one, deletes nothing" {
	new_repo
	snap "2020-11-01 01:00"
	snap "2020-11-02 01:00"
	fails_with 2 "what to forget is not said" forget
	fails_with 2 "what to forget is not said" forget --keep-daily 0
	fails_with 2 "--keep-tag" forget --keep-tag x
	fails_with 2 "span" forget --keep-within 5x
	fails_with 2 "number" forget --keep-last -1
	fails_with 2 "--group-by" forget --keep-last 1 --group-by host,moon
	fails_with 2 "names" forget --keep-last 1 --force
	[ "$(left | wc -l)" -eq 2 ]
}

@test "a held snapshot stays, by policy and by name, until it is released" {
	new_repo
	snap "2020-11-01 01:00"
	a=$id
	snap "2020-11-02 01:00"
	fails_with 2 "--reason" hold "$a"
	coffer hold -q "$a" --reason "audit of 2026"
	run -0 coffer snapshots
	[[ $output == *"$a"*"(held: audit of 2026)"* ]]
	run -0 coffer forget --keep-last 1
	[[ $output == *"keep    $a"*"held: audit of 2026"* ]]
	[[ $output == *"0 forgotten, 2 kept"* ]]
	fails_with 2 "audit of 2026" forget "$a" --force
	coffer release -q "$a"
	fails_with 1 "no held snapshot" release "$a"
	coffer forget -q "$a"
	fails_with 1 "no snapshot $a" hold "$a" --reason x
	[ "$(coffer snapshots --forgotten --json | jq -r .forgotten_for)" = "by name" ]
}

@test "clocks of clients push nobody out" {
	new_repo
	snap "2020-11-01 01:00" --time "2099-01-01"
	a=$id
	snap "2020-11-02 01:00"
	b=$id
	snap "2020-11-03 01:00" --time "1970-01-02"
	c=$id
	snap "2020-11-04 01:00" --time "2099-01-01"
	d=$id
	coffer forget --json --keep-daily 2 >"$T/out"
	[ "$(those keep <"$T/out")" = "$(printf '%s\n' "$c" "$d")" ]
	[ "$(those remove <"$T/out")" = "$(printf '%s\n' "$a" "$b")" ]
}

@test "where the times of receipt are lost, nothing goes by them" {
	new_repo
	now=$(date "+%F %T")
	for n in 1 2 3; do snap "$now" --time "2020-10-0$n 01:00"; done
	objects >"$T/before"
	fails_with 3 "--time-from record" forget --keep-last 1
	cmp "$T/before" <(objects)
	snap "$now" --time "2099-01-01 01:00"
	coffer forget --json --keep-daily 2 --time-from record >"$T/out"
	[ "$(those keep <"$T/out" | wc -l)" -eq 2 ]
	[ "$(left | tail -n 1)" = "$id" ]
	coffer snapshots --json | jq -r .time >"$T/times"
	[[ $(head -n 1 "$T/times") == 2020-10-03* ]]
}

@test "a store whose clock was wrong pushes nobody out" {
	new_repo
	snap "2020-11-01 01:00"
	snap "2020-11-02 01:00"
	snap "2099-01-01 01:00" --time "2020-11-03 01:00"
	objects >"$T/before"
	fails_with 3 "in the future" forget --keep-within 30d
	cmp "$T/before" <(objects)
	run -0 coffer forget --keep-within 30d --time-from record
	[[ $output == *"0 forgotten, 3 kept"* ]]
}

@test "groups: identity, host and paths; or as told" {
	new_repo
	snap "2020-11-01 01:00" --host one --tag x
	snap "2020-11-02 01:00" --host one
	snap "2020-11-03 01:00" --host two
	snap "2020-11-04 01:00" --host two --tag x
	kept() { coffer forget --json -n --keep-last 1 "$@" | those keep | wc -l; }
	[ "$(kept)" -eq 2 ]
	[ "$(kept --group-by "")" -eq 1 ]
	[ "$(kept --group-by host)" -eq 2 ]
	[ "$(kept --group-by tags)" -eq 2 ]
	[ "$(kept --group-by host,tags)" -eq 4 ]
	[ "$(kept --keep-tag x)" -eq 3 ]
	[ "$(kept --group-by paths --tag x)" -eq 1 ]
	[ "$(kept --host one)" -eq 1 ]
	[ "$(kept --path "$T/tree")" -eq 2 ]
	[ "$(kept --path /elsewhere)" -eq 0 ]
	printf other >"$T/other"
	coffer key add -q --role writer --new-password-file "$T/other" \
		--kdf-memory 8K --kdf-passes 1
	COFFER_PASSWORD=other snap "2020-11-05 01:00" --host two
	[ "$(kept)" -eq 3 ]
	[ "$(kept --group-by host)" -eq 2 ]
}

@test "a damaged record is named and never goes by policy" {
	new_repo
	snap "2020-11-01 01:00"
	bad=$id
	snap "2020-11-02 01:00"
	path=$(find "$T/repo/snapshots" -name "$bad*")
	chmod u+w "$path"
	flip "$path" 100
	run -3 coffer forget --keep-last 1
	[[ $output == *"keep    $bad  damaged"* ]]
	[ -e "$path" ]
	[ ! -d "$T/repo/forgotten" ]
	fails_with 2 "damaged" forget "$bad"
	coffer forget -q --force "$bad"
	run -0 coffer forget --keep-last 1
	coffer undelete -q "$bad"
	run -3 coffer forget --keep-last 1
}

@test "a writer forgets nothing" {
	new_repo
	snap "2020-11-01 01:00"
	snap "2020-11-02 01:00"
	printf other >"$T/other"
	coffer key add -q --role writer --new-password-file "$T/other" \
		--kdf-memory 8K --kdf-passes 1
	objects >"$T/before"
	export COFFER_PASSWORD=other
	fails_with 1 "writer" forget "$id"
	fails_with 1 "writer" forget --keep-last 1
	fails_with 1 "writer" hold "$id" --reason x
	cmp "$T/before" <(objects)
}

@test "--prune removes what was forgotten, and only then" {
	new_repo
	for n in 1 2 3; do snap "2020-11-0$n 01:00"; done
	fails_with 2 "--prune" forget --keep-last 1 --max-unused 0%
	fails_with 2 "--prune" forget --keep-last 1 --prune -n
	fails_with 2 "not a size" forget --keep-last 1 --prune --max-repack x
	[ "$(left | wc -l)" -eq 3 ]
	coffer forget -q --keep-last 1 --prune --max-unused 0%
	[ "$(left)" = "$id" ]
	[ -z "$(left --forgotten)" ]
	[ "$(find "$T/repo/snapshots" -type f | wc -l)" -eq 1 ]
	[ -z "$(find "$T/repo" -path '*forgotten/*' -type f)" ]
	coffer check -q --read-data
	coffer restore -q "$id:$T/tree" --target "$T/back"
	cmp "$T/tree/f" "$T/back/f"
}
