#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Files go back and forth between rbd and coffer, and between two clusters; the
# images are compared by their checksums at each end.

bats_require_minimum_version 1.5.0
load lab

setup_file() {
	ceph_cluster_start c1 7900
	ceph_cluster_start c2 7920
}

# Names of this test's own, and its scratch place.
begin() {
	V=volumes/v$BATS_TEST_NUMBER
	B=backups/b$BATS_TEST_NUMBER
	cd "$T" || return
}

# new_image IMAGE MIB: an image with random data in its first half.
new_image() {
	head -c "$(($2 / 2))M" /dev/urandom >base.img
	truncate -s "$2M" base.img
	rbd_on c1 import --no-progress base.img "$1"
	rm base.img
}

# scatter IMAGE N: N writes of random sizes at random places, and discards.
scatter() {
	rbd_on c1 bench --io-type write --io-size "$((1 + RANDOM % 16))K" \
		--io-total "$(($2 * 16))K" --io-pattern rand --io-threads 4 "$1" >/dev/null
}

snap() { rbd_on c1 snap create --no-progress "$1"; }

# import_diff CLUSTER FILE IMAGE, which is made where it is not there.
import_diff() {
	rbd_on "$1" info "$3" >/dev/null 2>&1 ||
		rbd_on "$1" create --size 2048 "$3"
	rbd_on "$1" import-diff --no-progress "$2" "$3"
}

# The id of the Nth snapshot of a source, from 1.
nth() {
	coffer snapshots --json --path "$1" |
		sed -n 's/.*"short_id":"\([^"]*\).*/\1/p' | sed -n "$2p"
}

@test "v1, write, v2: v1 and v1 to v2 make v2, by rbd, by coffer, and mixed" {
	begin
	new_repo
	new_image "$V" 64
	snap "$V@v1"
	rbd_on c1 export-diff --no-progress "$V@v1" v1
	scatter "$V" 64
	snap "$V@v2"
	rbd_on c1 export-diff --no-progress "$V@v2" v2
	rbd_on c1 export-diff --no-progress "$V@v2" --from-snap v1 v12
	sum1=$(rbd_sum c1 "$V@v1")
	sum2=$(rbd_sum c1 "$V@v2")

	# Without Ceph.
	run -0 coffer rbd-diff verify --chain v1 v12
	coffer rbd-diff apply -q v2 --to raw2
	coffer rbd-diff apply -q v1 v12 --to raw12
	coffer rbd-diff merge v1 v12 -o merged
	rbd_on c1 merge-diff --no-progress v1 v12 merged.rbd
	coffer rbd-diff apply -q merged --to raw-merged
	coffer rbd-diff apply -q merged.rbd --to raw-merged.rbd
	for f in raw2 raw12 raw-merged raw-merged.rbd; do
		[ "$(sha256sum <"$f" | cut -d ' ' -f 1)" = "$sum2" ]
	done

	# Through the repository into the other cluster.
	run -0 coffer import --image "$V" v1 v12
	one=$(nth "rbd-diff:$V" 1)
	two=$(nth "rbd-diff:$V" 2)
	coffer export -q "$two" --format rbd-diff -o ours2
	coffer export -q "$one" --format rbd-diff -o ours1
	coffer export -q "$two" --from "$one" --format rbd-diff -o ours12
	import_diff c2 ours2 "$B-full"
	import_diff c2 ours1 "$B-chain"
	import_diff c2 ours12 "$B-chain"
	import_diff c2 merged "$B-merged"
	import_diff c2 v1 "$B-mixed"
	import_diff c2 ours12 "$B-mixed"
	rbd_on c2 merge-diff --no-progress ours1 ours12 ours-merged
	import_diff c2 ours-merged "$B-ours-merged"
	for i in full chain merged mixed ours-merged; do
		[ "$(rbd_sum c2 "$B-$i@v2")" = "$sum2" ]
		[ "$(rbd_sum c2 "$B-$i")" = "$sum2" ]
	done
	[ "$(rbd_sum c2 "$B-chain@v1")" = "$sum1" ]

	# What came from files is restored as what came from the cluster.
	coffer restore -q "$two" --to "rbd:$B-restored" -o conf="$(ceph_conf c2)"
	[ "$(rbd_sum c2 "$B-restored")" = "$sum2" ]
	rbd_on c2 info "$B-restored" | grep -q 'features: layering, exclusive-lock, object-map, fast-diff'

	# And back: export-diff there, import, export, import-diff.
	rbd_on c2 export-diff --no-progress "$B-chain@v1" back1
	rbd_on c2 export-diff --no-progress "$B-chain@v2" --from-snap v1 back12
	run -0 coffer import --image volumes/back back1
	run -0 coffer import --image volumes/back back12
	coffer export -q "$(nth rbd-diff:volumes/back 2)" --format rbd-diff -o - |
		rbd_on c1 import-diff --no-progress - "$(
			rbd_on c1 create --size 1 volumes/back >&2
			echo volumes/back
		)"
	[ "$(rbd_sum c1 volumes/back@v2)" = "$sum2" ]
}

@test "restore points of an image go to rbd as differences, both ways in time" {
	begin
	new_repo
	conf=(-o conf="$(ceph_conf c1)")
	new_image "$V" 32
	sums=()
	for n in 1 2 3; do
		run -0 coffer backup -q "${conf[@]}" "rbd:$V"
		sums[n]=$(rbd_sum c1 "$V")
		scatter "$V" 32
		[ "$n" -ne 1 ] || rbd_on c1 resize --no-progress --size 40 "$V"
		[ "$n" -ne 2 ] || rbd_on c1 resize --no-progress --size 17 --allow-shrink "$V"
	done
	for n in 1 2 3; do
		s[n]=$(nth "rbd:$V" "$n")
	done
	coffer export -q "${s[1]}" --format rbd-diff --to-name p1 -o d1
	coffer export -q "${s[3]}" --from "${s[1]}" --format rbd-diff \
		--from-name p1 --to-name p3 -o d13
	coffer export -q "${s[2]}" --from "${s[3]}" --format rbd-diff \
		--from-name p3 --to-name p2 -o d32
	for d in d1 d13 d32; do
		import_diff c2 "$d" "$B"
	done
	[ "$(rbd_sum c2 "$B@p1")" = "${sums[1]}" ]
	[ "$(rbd_sum c2 "$B@p3")" = "${sums[3]}" ]
	[ "$(rbd_sum c2 "$B@p2")" = "${sums[2]}" ]
	# The recorded name, where none is given.
	coffer export -q "${s[3]}" --format rbd-diff -o named
	coffer rbd-diff info named | grep -q 'nothing to coffer\.'
	for n in 1 2 3; do
		coffer export -q "${s[$n]}" --format raw -o - | sha256sum |
			grep -q "^${sums[$n]} "
	done
	coffer export -q "${s[2]}" --format raw -o raw
	sha256sum raw | grep -q "^${sums[2]} "
}

@test "an image export keeps order, features, metadata and snapshots" {
	begin
	new_repo
	rbd_on c1 create --size 24 --object-size 1M --image-feature layering,exclusive-lock "$V"
	rbd_on c1 image-meta set "$V" owner 'a, "b" \c'
	rbd_on c1 image-meta set "$V" conf_rbd_cache false
	for i in 1 2; do
		scatter "$V" 16
		snap "$V@s$i"
		sums[i]=$(rbd_sum c1 "$V@s$i")
	done
	rbd_on c1 snap protect "$V@s1"
	scatter "$V" 8
	sum=$(rbd_sum c1 "$V")
	rbd_on c1 export --no-progress --export-format 2 "$V" all
	run -0 coffer rbd-diff info all
	[[ $output == *"order 20, features 0x5,"* ]]
	coffer rbd-diff apply -q all --to raw
	sha256sum raw | grep -q "^$sum "

	run -0 coffer import --format rbd-export --image "$V" all
	[ "$(coffer snapshots --json | grep -c '"type":"snapshot"')" -eq 3 ]
	coffer export -q "$(nth "rbd-diff:$V" 3)" --with "$(nth "rbd-diff:$V" 1)" \
		--with "$(nth "rbd-diff:$V" 2)" --format rbd-export --to-name last -o ours
	run -0 coffer rbd-diff verify ours
	rbd_on c2 import --no-progress --export-format 2 ours "$B"
	rbd_on c2 info --format json "$B" | python3 -c '
import json, sys
i = json.load(sys.stdin)
assert i["order"] == 20 and i["size"] == 24 << 20, i
assert sorted(i["features"]) == ["exclusive-lock", "layering"], i'
	[ "$(rbd_on c2 image-meta get "$B" owner)" = 'a, "b" \c' ]
	[ "$(rbd_on c2 image-meta get "$B" conf_rbd_cache)" = false ]
	[ "$(rbd_sum c2 "$B")" = "$sum" ]
	[ "$(rbd_sum c2 "$B@s1")" = "${sums[1]}" ]
	[ "$(rbd_sum c2 "$B@s2")" = "${sums[2]}" ]
	[ "$(rbd_sum c2 "$B@last")" = "$sum" ]
	rbd_on c2 snap ls --format json "$B" | python3 -c '
import json, sys
print({s["name"]: s["protected"] for s in json.load(sys.stdin)})' |
		grep -q "'s1': 'true'"
}

@test "merges of a chain with resizes and discards are what rbd makes of it" {
	begin
	new_image "$V" 16
	snap "$V@s0"
	rbd_on c1 export-diff --no-progress "$V@s0" d0
	sizes=(24 9 31 5 20)
	for i in 1 2 3 4 5; do
		rbd_on c1 resize --no-progress --allow-shrink --size "${sizes[i - 1]}" "$V"
		scatter "$V" 12
		snap "$V@s$i"
		rbd_on c1 export-diff --no-progress "$V@s$i" --from-snap "s$((i - 1))" "d$i"
		run -0 coffer rbd-diff verify "d$i"
	done
	cp d0 theirs
	for i in 1 2 3 4 5; do
		rbd_on c1 merge-diff --no-progress theirs "d$i" next
		mv next theirs
	done
	coffer rbd-diff merge d0 d1 d2 d3 d4 d5 -o ours
	coffer rbd-diff merge d2 d3 d4 -o middle
	coffer rbd-diff merge d0 d1 middle d5 -o ours2
	import_diff c2 ours "$B"
	sum=$(rbd_sum c1 "$V@s5")
	[ "$(rbd_sum c2 "$B@s5")" = "$sum" ]
	for f in theirs ours ours2; do
		coffer rbd-diff apply -q "$f" --to "raw.$f"
		sha256sum "raw.$f" | grep -q "^$sum "
	done
	import_diff c2 d0 "$B-step"
	import_diff c2 d1 "$B-step"
	import_diff c2 middle "$B-step"
	[ "$(rbd_sum c2 "$B-step@s4")" = "$(rbd_sum c1 "$V@s4")" ]
}
