#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# restore --to moosefs:, with the real mfsmaster: what comes back is compared
# with what the dead master's own files make, and what is refused is shown
# beside what mfsmaster makes of it.
# Ports 9700 to 9702, and 9710 to 9712 for the restored master.

bats_require_minimum_version 1.5.0
load lab

# Of mfs_plain_restore.
plain=

# One master with a saved image in the middle of its life, killed in the end.
# $LAB/dead is what it left; $LAB/tree that as a snapshot holds it.
setup_file() {
	export PATH=$PATH:/usr/sbin:/sbin
	# No hour ends, and time does not go back.
	mfs_start m 9700 --at '2026-11-21 09:10:00'
	mfs_ops m /before 120
	mfs_stop m
	mfs_start m 9700 --at '2026-11-21 09:20:00'
	mfs_ops m "/a, (100%)" 240
	sleep 1.1
	mfs_ops m /late 80
	SIGNAL=KILL mfs_stop m
	mkdir "$LAB/dead"
	cp "$(mfs_data m)"/metadata.mfs.back "$(mfs_data m)"/changelog.*.mfs "$LAB/dead"
	sort -n -u "$LAB"/dead/changelog.*.mfs >"$LAB/log"
	lay_out "$LAB/tree" "$LAB/dead/metadata.mfs.back" "$LAB/log"
}

id_of() { od -An -v -tx8 --endian=big -j 16 -N 8 "$1" | tr -d ' '; }

# lay_out DIR IMAGE LOG [FIRST_PER_SEGMENT]: as coffer keeps it.
lay_out() {
	local to
	to=$1/$(id_of "$2")
	mkdir -p "$to/changelog"
	cp "$2" "$to/metadata.mfs"
	awk -v v="$(mfs_version "$2")" -v d="$to/changelog" -v each="${4:-97}" -F : '
		$1 < v { next }
		n++ % each == 0 { f = sprintf("%s/%020d", d, $1) }
		{ print > f }' "$3"
}

# The content of an image, in an order that does not depend on hash tables.
dump() { mfsmetadump "$1" | sort; }

# The reference: the dead master's image and its lines up to an id or, as
# @SECONDS, up to a second.
reference() {
	mkdir -p "$1"
	cp "$LAB/dead/metadata.mfs.back" "$1/metadata.mfs.back"
	case $2 in
	@*) awk -F '[: |]+' -v t="${2#@}" '$2 > t { exit } { print }' "$LAB/log" ;;
	*) awk -F : -v n="$2" '$1 <= n' "$LAB/log" ;;
	esac >"$1/changelog.0.mfs"
	mfs_plain_restore "$1"
	[ "$plain" -eq 0 ]
}

back_up() {
	new_repo
	coffer backup -q "$1"
	IT=latest:$1
	OWNER=$(id -un):$(id -gn)
}

to_new() { coffer restore "$IT" --to "moosefs:$T/new" -o owner="$OWNER" "$@"; }

# refused TEXT: no restore; nothing is left behind.
refused() {
	fails_with 1 "$1" restore "$IT" --to "moosefs:$T/new" -o owner="$OWNER"
	[ ! -e "$T/new" ]
}

V() { mfs_version "$LAB/dead/metadata.mfs.back"; }
N() { mfs_last_id "$LAB/log"; }

# What follows takes its own tree, of which it spoils one thing.
spoilt() {
	cp -r "$LAB/tree" "$T/tree"
	ID=$(id_of "$LAB/dead/metadata.mfs.back")
	SEGMENT=$(find "$T/tree/$ID/changelog" -type f | sort | sed -n 2p)
	NAME=$ID/changelog/${SEGMENT##*/}
	FIRST=$(mfs_first_id "$SEGMENT")
}

# So that what is wrong is in the last segment.
drop_later() { find "$T/tree/$ID/changelog" -type f | sort | sed -n '3,$p' | xargs rm -f; }

# beside: the same files as a plain mfsmaster gets them, one log a segment.
beside() {
	local n=0 f
	mkdir "$T/plain"
	cp "$T/tree/$ID/metadata.mfs" "$T/plain/metadata.mfs.back"
	for f in "$T/tree/$ID/changelog"/*; do
		cp "$f" "$T/plain/changelog.$n.mfs"
		n=$((n + 1))
	done
	mfs_plain_restore "$T/plain"
}

@test "all of it: the same file system as the dead master's own files make" {
	back_up "$LAB/tree"
	to_new --json | tail -n 1 >"$T/summary"
	reference "$T/ref" "$(N)"
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/new/metadata.mfs")
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(N) + 1)) ]
	[ "$(jq -r .proof "$T/summary")" = proven ]
	[ "$(jq -r .last_change "$T/summary")" -eq "$(N)" ]
	[ "$(jq -r '.next | length' "$T/summary")" -gt 3 ]
	[ -z "$(find "$T" -name 'coffer-mfsmaster*')" ]
}

@test "the set: one image, one log of whole lines, and nothing else" {
	back_up "$LAB/tree"
	to_new -o prove=no >"$T/out"
	grep -q 'prove the set' "$T/out"
	[ "$(ls "$T/new")" = "$(printf 'changelog.0.mfs\nmetadata.mfs.back')" ]
	[ "$(stat -c %a "$T/new/changelog.0.mfs" "$T/new/metadata.mfs.back" | sort -u)" = 640 ]
	cmp "$T/new/metadata.mfs.back" "$LAB/dead/metadata.mfs.back"
	awk -F : -v v="$(V)" '$1 >= v' "$LAB/log" | cmp - "$T/new/changelog.0.mfs"
}

@test "until an id, and until a second" {
	back_up "$LAB/tree"
	mid=$((($(V) + $(N)) / 2))
	to_new -o until=$mid -q
	reference "$T/ref" $mid
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/new/metadata.mfs")
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $((mid + 1)) ]
	rm -rf "$T/new" "$T/ref"
	second=$(sed -n 's/^[0-9]*: \([0-9]*\)|.*/\1/p' "$LAB/log" | sort -n | uniq | tail -n 2 | head -n 1)
	to_new -o until="$(date -u -d "@$second" +%Y-%m-%dT%H:%M:%SZ)" -q
	reference "$T/ref" "@$second"
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/new/metadata.mfs")
	[ "$(mfs_version "$T/new/metadata.mfs")" -le "$(N)" ]
	rm -rf "$T/new"
	to_new -o until=$(($(V) - 1)) -q
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq "$(V)" ]
	rm -rf "$T/new"
	fails_with 1 "an older snapshot" restore "$IT" --to "moosefs:$T/new" -o until=$(($(V) - 2))
	fails_with 1 "a later snapshot" restore "$IT" --to "moosefs:$T/new" -o until=$(($(N) + 1))
	fails_with 1 "an older snapshot" restore "$IT" --to "moosefs:$T/new" -o until=2001-02-03
	fails_with 2 "not a time" restore "$IT" --to "moosefs:$T/new" -o until=noon
	[ ! -e "$T/new" ]
}

@test "finding 2: a log with a torn end costs mfsmaster the whole file; here it is refused" {
	spoilt
	truncate -s -5 "$SEGMENT"
	drop_later
	beside
	[ "$plain" -eq 0 ]
	[ "$(mfs_version "$T/plain/metadata.mfs")" -eq "$FIRST" ]
	back_up "$T/tree"
	refused "$NAME: its last line is cut off"
}

@test "finding 2, the LF alone is missing" {
	spoilt
	truncate -s -1 "$SEGMENT"
	drop_later
	beside
	[ "$plain" -eq 0 ]
	[ "$(mfs_version "$T/plain/metadata.mfs")" -eq "$FIRST" ]
	back_up "$T/tree"
	refused "$NAME: its last line is cut off"
}

@test "finding 3: two lines glued, as a killed metalogger leaves them" {
	spoilt
	sed -i '40{N;s/^\([^(]*([0-9]*\).*\n/\1/}' "$SEGMENT"
	beside
	[ "$plain" -ne 0 ] || [ "$(mfs_version "$T/plain/metadata.mfs")" -le "$(N)" ]
	back_up "$T/tree"
	refused "$NAME: line 40"
}

@test "finding 4: a jump of ten thousand ids is garbage to mfsmaster, with status 0" {
	spoilt
	at=$((FIRST + 10))
	sed -i "11,\$d" "$SEGMENT"
	sed -n 12p "$LAB/log" | sed "s/^[0-9]*:/$((at + 10000)):/" >>"$SEGMENT"
	drop_later
	beside
	[ "$plain" -eq 0 ]
	[ "$(mfs_version "$T/plain/metadata.mfs")" -eq "$at" ]
	back_up "$T/tree"
	refused "$NAME: changes $at to $((at + 9999)) are missing"
}

@test "finding 4, a smaller hole: refused by both" {
	spoilt
	sed -i 30d "$SEGMENT"
	beside
	[ "$plain" -eq 1 ]
	[ ! -e "$T/plain/metadata.mfs" ]
	back_up "$T/tree"
	refused "$NAME: changes $((FIRST + 29)) to $((FIRST + 29)) are missing"
	# What is before it can be had.
	to_new -q -o until=$((FIRST + 28))
	reference "$T/ref" $((FIRST + 28))
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/new/metadata.mfs")
}

@test "finding 5: another file system's image, and another one's log" {
	spoilt
	cp "$T/tree/$ID/metadata.mfs" "$T/other"
	flip "$T/tree/$ID/metadata.mfs" 23
	back_up "$T/tree"
	refused "the image is of another file system"
	cp "$T/other" "$T/tree/$ID/metadata.mfs"
	sed -i "s/^\($((FIRST + 3)): [0-9]*\)|.*/\1|SETMETAID(17)/" "$SEGMENT"
	coffer backup -q "$T/tree"
	refused "$NAME: change $((FIRST + 3)) is of another file system"
}

@test "finding 5: a master that went back: two texts for one id" {
	spoilt
	{
		cat "$SEGMENT"
		sed -n '90,$p' "$SEGMENT" | sed '1s/|.*/|ACCESS(1)/'
	} >"$T/both"
	cp "$T/both" "$SEGMENT"
	beside
	back_up "$T/tree"
	refused "$NAME: change $((FIRST + 89)) has two different texts"
	echo "mfsmaster made $(mfs_version "$T/plain/metadata.mfs" || true), status $plain"
}

@test "an overlap of equal lines is none" {
	spoilt
	{
		cat "$SEGMENT"
		sed -n '90,$p' "$SEGMENT"
	} >"$T/both"
	cp "$T/both" "$SEGMENT"
	back_up "$T/tree"
	to_new -q
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(N) + 1)) ]
	[ "$(mfs_last_id "$T/new/changelog.0.mfs")" -eq "$(N)" ]
}

# mfsmaster leaves a session that its client has closed out of the image, and
# deletes it two minutes later; here that line is at hand at once.
@test "a session that had ended when the image was saved: mfsmaster refuses its own log, here it is restored" {
	spoilt
	last=$(N)
	second=$(tail -n 1 "$LAB/log" | sed 's/^[0-9]*: \([0-9]*\).*/\1/')
	added=$(awk -F : -v v="$(V)" '$1 >= v' "$LAB/log" | sed -n 's/.*|SESADD(.*):\([0-9]*\)$/\1/p' | head -n 1)
	[ "$added" -gt 1 ]
	SEGMENT=$(find "$T/tree/$ID/changelog" -type f | sort | tail -n 1)
	printf '%s\n' "$((last + 1)): $second|SESDEL(1)" \
		"$((last + 2)): $second|SESDEL($added)" \
		"$((last + 3)): $second|ACCESS(1)" >>"$SEGMENT"
	beside
	[ "$plain" -eq 1 ]
	grep -q 'SESDEL(1)' "$T/plain.log"
	grep -q 'Bad session id' "$T/plain.log"
	back_up "$T/tree"
	to_new 2>"$T/err" | grep -q proven
	grep -q '^1 changes that end sessions' "$T/err"
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $((last + 4)) ]
	# All is there that was before, and the sessions are gone.
	reference "$T/ref" "$last"
	cmp <(dump "$T/ref/metadata.mfs" | grep -a '^EDGE') <(dump "$T/new/metadata.mfs" | grep -a '^EDGE')
	dump "$T/ref/metadata.mfs" | grep -aq "^SESSION|s: *$added|"
	dump "$T/new/metadata.mfs" | grep -aqE "^SESSION\|s: *(1|$added)\|" && false
	rm -rf "$T/new"
	to_new -q -o prove=no 2>/dev/null
	[ "$(tail -n 3 "$T/new/changelog.0.mfs")" = "$(printf '%s\n' "$((last + 1)): $second|IDLE()" \
		"$((last + 2)): $second|SESDEL($added)" "$((last + 3)): $second|ACCESS(1)")" ]
}

@test "finding 7: a plain start from what was restored has an image to give at once" {
	back_up "$LAB/tree"
	mkdir -p "$LAB/r$BATS_TEST_NUMBER"
	coffer restore "$IT" --to "moosefs:$LAB/r$BATS_TEST_NUMBER/data" -o owner="$OWNER" -q
	mfs_start "r$BATS_TEST_NUMBER" 9710 --at '2026-11-21 09:30:00'
	[ "$(mfs_version "$LAB/r$BATS_TEST_NUMBER/data/metadata.mfs.back")" -eq $(($(N) + 1)) ]
	mfs_ops "r$BATS_TEST_NUMBER" /after 8
	mfs_stop "r$BATS_TEST_NUMBER"
	mfsmetadump "$LAB/r$BATS_TEST_NUMBER/data/metadata.mfs" >"$T/dump"
	grep -q after "$T/dump"
	grep -q late "$T/dump"
}

@test "finding 8: a log that does not reach back to the image" {
	spoilt
	rm "$(find "$T/tree/$ID/changelog" -type f | sort | head -n 1)"
	beside
	[ "$plain" -eq 1 ]
	back_up "$T/tree"
	refused "$NAME: changes $(V) to $((FIRST - 1)) are missing"
}

@test "an image that is cut off" {
	spoilt
	truncate -s -20 "$T/tree/$ID/metadata.mfs"
	beside
	[ "$plain" -eq 1 ]
	back_up "$T/tree"
	refused "$ID/metadata.mfs"
}

@test "from the beginning: MFSM NEW and the log from change 1" {
	mkdir -p "$T/tree/$(id_of "$LAB/dead/metadata.mfs.back")/changelog"
	printf 'MFSM NEW' >"$T/tree/$(id_of "$LAB/dead/metadata.mfs.back")/metadata.mfs"
	cp "$LAB/log" "$T/tree/$(id_of "$LAB/dead/metadata.mfs.back")/changelog/00000000000000000001"
	[ "$(mfs_first_id "$LAB/log")" -eq 1 ]
	back_up "$T/tree"
	to_new -q
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(N) + 1)) ]
	[ "$(id_of "$T/new/metadata.mfs")" = "$(id_of "$LAB/dead/metadata.mfs.back")" ]
}

@test "the status of mfsmaster alone is not believed; what it made of it is removed" {
	back_up "$LAB/tree"
	mkdir "$T/bin"
	cat >"$T/bin/mfsmaster" <<-'END'
		#!/bin/sh
		dir=$(sed -n 's/^DATA_PATH = //p' "$3")
		cp "$dir/metadata.mfs.back" "$dir/metadata.mfs"
	END
	chmod +x "$T/bin/mfsmaster"
	PATH=$T/bin:$PATH fails_with 1 "mfsmaster made version $(V) of the set, and not $(($(N) + 1))" \
		restore "$IT" --to "moosefs:$T/new" -o owner="$OWNER"
	[ ! -e "$T/new/metadata.mfs" ]
	[ -e "$T/new/metadata.mfs.back" ]
}

@test "a directory that is not empty is refused; what a killed restore left is not in the way" {
	back_up "$LAB/tree"
	mkdir "$T/new"
	: >"$T/new/other"
	fails_with 1 "is not empty" restore "$IT" --to "moosefs:$T/new"
	rm "$T/new/other"
	: >"$T/new/changelog.0.mfs"
	fails_with 1 "is not empty" restore "$IT" --to "moosefs:$T/new"
	: >"$T/new/coffer-restore.image"
	: >"$T/new/coffer-restore.log"
	to_new -q
	[ ! -e "$T/new/coffer-restore.image" ]
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(N) + 1)) ]
	to_new -q && false
	to_new --dry-run && false
	fails_with 2 "no option" restore "$IT" --to "moosefs:$T/x" -o a=b
	fails_with 2 "no user" restore "$IT" --to "moosefs:$T/x" -o owner=nobody-is-called-so
	fails_with 2 "whole path" restore "$IT" --to moosefs:x
	fails_with 2 "--delta is not for" restore "$IT" --to "moosefs:$T/x" --delta
	coffer restore "$IT" --to "moosefs:$T/x" --dry-run | grep -q "would restore"
	[ ! -e "$T/x" ]
	coffer help target | grep -q '^  moosefs '
	coffer help target moosefs | grep -q until
}

@test "root restores for the user mfs" {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	id mfs >/dev/null 2>&1 || skip "no user mfs"
	back_up "$LAB/tree"
	chmod 755 "$T"
	coffer restore "$IT" --to "moosefs:$T/new" -q
	[ "$(stat -c %U "$T/new" "$T/new"/* | sort -u)" = mfs ]
	[ "$(mfs_version "$T/new/metadata.mfs")" -eq $(($(N) + 1)) ]
}

@test "what the moosefs source makes of the dead master's directory" {
	new_repo
	coffer backup -q "moosefs:$LAB/dead"
	reference "$T/ref" "$(N)"
	coffer restore "latest:$(id_of "$LAB/dead/metadata.mfs.back")" --to "moosefs:$T/new" \
		-o owner="$(id -un):$(id -gn)" -q
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/new/metadata.mfs")
	# By hand, as the guide says.
	coffer restore latest --target "$T/files" -q
	mkdir "$T/hand"
	cp "$T"/files/*/metadata.mfs "$T/hand/metadata.mfs.back"
	cat "$T"/files/*/changelog/* >"$T/hand/changelog.0.mfs"
	mfs_plain_restore "$T/hand"
	cmp <(dump "$T/ref/metadata.mfs") <(dump "$T/hand/metadata.mfs")
}

@test "killed at any moment: no image, or the whole set" {
	back_up "$LAB/tree"
	awk -F : -v v="$(V)" '$1 >= v' "$LAB/log" >"$T/want"
	whole=0
	for i in $(seq 30); do
		rm -rf "$T/new"
		"$COFFER" restore "$IT" --to "moosefs:$T/new" -o prove=no -o owner="$OWNER" -q 3>&- &
		sleep "0.0$(printf '%02d' $((i * 3)))"
		kill -KILL $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		if [ -e "$T/new/metadata.mfs.back" ]; then
			whole=$((whole + 1))
			cmp "$T/new/metadata.mfs.back" "$LAB/dead/metadata.mfs.back"
			cmp "$T/want" "$T/new/changelog.0.mfs"
		else
			to_new -o prove=no -q
			cmp "$T/want" "$T/new/changelog.0.mfs"
		fi
	done
	echo "$whole of 30 were done before the kill"
}

@test "where mfsmaster is not installed the set is written, and how to prove it is told" {
	# shellcheck disable=SC2016  # the inner shell's
	hide='for p in /usr/sbin/mfsmaster /usr/local/sbin/mfsmaster; do [ ! -e $p ] || mount --bind /dev/null $p; done'
	ns='unshare -m'
	[ "$(id -u)" -eq 0 ] || ns='unshare -rm'
	$ns sh -c "$hide" 2>/dev/null || skip "no name spaces here"
	back_up "$LAB/tree"
	status=0
	$ns sh -c "$hide"'; exec "$@"' sh "$COFFER" restore "$IT" --to "moosefs:$T/new" \
		-o owner=0:0 >"$T/out" 2>"$T/err" || status=$?
	[ "$status" -eq 3 ]
	grep -q 'not installed here: the set is written, and not proven' "$T/err"
	grep -q 'prove the set: mfsmaster.cfg with DATA_PATH = ' "$T/out"
	grep -q "has to tell version $(($(N) + 1));" "$T/out"
	[ "$(ls "$T/new")" = "$(printf 'changelog.0.mfs\nmetadata.mfs.back')" ]
}

@test "log: with the paths of that moment, and clients; only what is asked for" {
	back_up "$LAB/tree"
	coffer moosefs log latest --json >"$T/log"
	[ "$(jq -r .id "$T/log" | head -n 1)" -eq "$(V)" ]
	[ "$(wc -l <"$T/log")" -eq $(($(N) + 1 - $(V))) ]
	# Every name that the log made, under its directory.
	jq -r 'select(.op == "CREATE") | .path' "$T/log" | grep -q '^/a, (100%)/'
	jq -r 'select(.op == "UNLINK") | .path' "$T/log" | grep -q '^/late/.*\.other$'
	[ "$(jq -r 'select(.op == "SESADD") | .client' "$T/log" | head -n 1)" = 127.0.0.1 ]
	jq -r 'select(.op == "MOVE") | .path_to' "$T/log" | grep -q ', (100%) ü$'
	coffer moosefs log latest --op UNLINK --below /late >"$T/late"
	[ "$(wc -l <"$T/late")" -eq 20 ]
	[ "$(grep -c 'UNLINK    /late/' "$T/late")" -eq 20 ]
	mid=$((($(V) + $(N)) / 2))
	[ "$(coffer moosefs log latest --from $mid --to $((mid + 4)) | wc -l)" -eq 5 ]
	[ "$(coffer moosefs log latest --from 2001-01-01 --to 2001-01-02 | wc -l)" -eq 0 ]
	fails_with 2 "--from" moosefs log latest --from noon
}

@test "diff: by lines, and by two images, says the same as mfsmetadump" {
	back_up "$LAB/tree"
	mid=$((($(V) + $(N)) / 2))
	to_new -q
	: >"$T/none"
	lay_out "$T/later" "$T/new/metadata.mfs" "$T/none"
	coffer backup -q "$T/later"
	first=$(coffer snapshots --json | jq -r .id | head -n 1)
	coffer moosefs diff "$first@$mid" "$first" --json >"$T/lines"
	coffer moosefs diff "$first@$mid" latest --json >"$T/images"
	[ "$(jq -r 'select(.type == "summary") | .compared_by' "$T/lines" "$T/images" | xargs)" = "lines images" ]
	names() { jq -r 'select(.type == "moosefs_difference") | .modifier + .path + (.path_to // "")' "$1" | sort; }
	cmp <(names "$T/lines") <(names "$T/images")
	[ "$(names "$T/lines" | grep -c '^+')" -gt 5 ]
	# As many names more as the images have edges more.
	reference "$T/ref" $mid
	edges() { mfsmetadump "$1" | grep '^EDGE' | grep -vc '^EDGE|p: *NULL'; }
	more=$(($(edges "$T/new/metadata.mfs") - $(edges "$T/ref/metadata.mfs")))
	[ "$(jq -r 'select(.type == "summary") | .added - .removed' "$T/images")" -eq $more ]
	coffer moosefs diff "$first@$mid" "$first" --counts | grep -q '^/late/: .* added'
	fails_with 1 "is not in its snapshot" moosefs diff "$first@99999" latest
}
