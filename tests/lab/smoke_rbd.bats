#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Once through a cluster and back, short enough for the sanitizers.

bats_require_minimum_version 1.5.0
load lab

setup_file() { ceph_cluster_start c1 7400; }

@test "an image, an increment of it, a clone, and both points come back" {
	local o sum1 sum2 first
	o=conf=$(ceph_conf c1)
	new_repo
	head -c 24M /dev/urandom >"$T/data"
	truncate -s 40M "$T/data"
	rbd_on c1 import --no-progress "$T/data" volumes/a
	rbd_on c1 snap create --no-progress volumes/a@base
	rbd_on c1 clone --rbd-default-clone-format 2 volumes/a@base volumes/child
	sum1=$(rbd_sum c1 volumes/a)
	coffer backup -q -o "$o" rbd:volumes/a rbd:volumes/child
	first=$(coffer snapshots --json | tail -n 1 | jq -r .short_id)
	rbd_on c1 bench --io-type write --io-size 4096 --io-total 2M \
		--io-pattern rand volumes/a >/dev/null
	sum2=$(rbd_sum c1 volumes/a)
	coffer backup -q -o "$o" rbd:volumes/a rbd:volumes/child
	run -0 coffer restore -q --to raw:"$T/back" latest:images/volumes/a
	[ "$(sha256sum <"$T/back" | cut -d ' ' -f 1)" = "$sum2" ]
	run -0 coffer restore -q --to rbd:backups/a -o "$o" \
		"$first:images/volumes/a"
	[ "$(rbd_sum c1 backups/a)" = "$sum1" ]
	run -0 coffer restore -q --to raw:"$T/child" latest:images/volumes/child
	[ "$(sha256sum <"$T/child" | cut -d ' ' -f 1)" = "$sum1" ]
}

@test "no cluster, no image, no pool: a sentence each" {
	new_repo
	fails_with 1 "no such pool" backup -o "conf=$(ceph_conf c1)" rbd:none/a
	fails_with 1 "none" backup -o "conf=$(ceph_conf c1)" rbd:volumes/none
	fails_with 1 "cannot read" backup -o conf="$T/none" rbd:volumes/a
}

@test "a machine without librbd, or with one that is too old" {
	local o
	o=conf=$(ceph_conf c1)
	new_repo
	mkdir "$T/lib" "$T/tree"
	: >"$T/lib/librbd.so.1"
	export LD_LIBRARY_PATH=$T/lib
	fails_with 1 "Ceph needs librbd.so.1 on this machine" \
		backup -o "$o" rbd:volumes/a
	coffer backup -q "$T/tree"
	echo 'int nothing;' | cc -shared -o "$T/lib/librbd.so.1" -x c -
	fails_with 1 "librbd.so.1 is older than Ceph 16: it has no rbd_" \
		backup -o "$o" rbd:volumes/a
}
