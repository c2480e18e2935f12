#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images of one cluster come back, there and in another one; what rbd exports
# at both ends is compared.

bats_require_minimum_version 1.5.0
load lab

setup_file() {
	ceph_cluster_start c1 7700 --cephx
	ceph_cluster_start c2 7720 --cephx --bytes $((600 << 20))
	# So that a client that was killed is soon forgotten; a live one tells of
	# itself every five seconds.
	ceph_on c1 tell osd.0 config set osd_client_watch_timeout 12 >/dev/null
	ceph_on c2 tell osd.0 config set osd_client_watch_timeout 12 >/dev/null
}

# A repository, and names of this test's own.
begin() {
	new_repo
	V=volumes/v$BATS_TEST_NUMBER
	C1=conf=$(ceph_conf c1)
	C2=conf=$(ceph_conf c2)
	cd "$T" || return
}

# The image that new_image and backup are about.
image_is() { V=$1; }

# new_image MIB [options of rbd create]: random data in three quarters of it,
# a hole, and some lines at its end.
new_image() {
	local mib=$1
	shift
	rbd_on c1 create --size "${mib}M" "$@" "$V"
	head -c "$((mib * 3 / 4))M" /dev/urandom >data
	truncate -s "$((mib - 1))M" data
	seq 1 100000 >>data
	truncate -s "${mib}M" data
	put_file c1 data "$V"
	rm data
}

# put_file CLUSTER FILE IMAGE: the file's bytes into an image that is there.
put_file() {
	/usr/bin/python3 - "$(ceph_conf "$1")" "$2" "$3" <<-'END'
		import sys, rados, rbd
		cluster = rados.Rados(conffile=sys.argv[1])
		cluster.connect()
		pool, name = sys.argv[3].split("/")
		io = cluster.open_ioctx(pool)
		with rbd.Image(io, name) as image, open(sys.argv[2], "rb") as f:
		    off = 0
		    while data := f.read(1 << 20):
		        if data.strip(b"\0"):
		            image.write(data, off)
		        off += len(data)
		io.close()
		cluster.shutdown()
	END
}

# scribble CLUSTER IMAGE OFFSET TEXT
scribble() {
	/usr/bin/python3 - "$(ceph_conf "$1")" "$2" "$3" "$4" <<-'END'
		import sys, rados, rbd
		cluster = rados.Rados(conffile=sys.argv[1])
		cluster.connect()
		pool, name = sys.argv[2].split("/")
		io = cluster.open_ioctx(pool)
		with rbd.Image(io, name) as image:
		    image.write(sys.argv[4].encode(), int(sys.argv[3]))
		io.close()
		cluster.shutdown()
	END
}

backup() { coffer backup -q -o "$C1" "rbd:$V"; }

# slow_down SECONDS: what is written to the pool "volumes" of the other cluster
# takes so long for 64 MiB, of clients that come until speed_up.
slow_down() {
	rbd_on c2 config pool set volumes rbd_qos_write_bps_limit \
		$(((64 << 20) / $1))
}
speed_up() { rbd_on c2 config pool remove volumes rbd_qos_write_bps_limit; }

has_begun() {
	local n
	n=$(rbd_on c2 image-meta get "$1" coffer.restore.done 2>/dev/null) &&
		[ "$n" -gt 0 ]
}

# The member of the summary that --json prints.
member() { jq -r "select(.type == \"summary\") | .$1" summary; }

same_as_source() { [ "$(rbd_sum "$1" "$2")" = "$(rbd_sum c1 "${3:-$V}")" ]; }

bytes_used() { rbd_on "$1" du --format json "$2" | jq '.images[0].used_size'; }

@test "a new image in another cluster is what it was: bytes, holes, set-up" {
	begin
	new_image 32 --object-size 1M --stripe-unit 64K --stripe-count 4 \
		--image-feature layering,exclusive-lock,object-map,fast-diff
	rbd_on c1 image-meta set "$V" owner 'somebody "else"'
	rbd_on c1 image-meta set "$V" conf_rbd_qos_iops_limit 0
	backup
	coffer restore latest --to "rbd:$V" -o "$C2" --verify --json >summary
	same_as_source c2 "$V"
	[ "$(member bytes_verified)" -ge "$(member bytes_written)" ]
	for c in c1 c2; do
		rbd_on $c info --format json "$V" |
			jq '[.size, .order, .features, .stripe_unit, .stripe_count]' >info.$c
		rbd_on $c image-meta list --format json "$V" >meta.$c
	done
	cat info.c1 meta.c1
	cmp info.c1 info.c2
	cmp meta.c1 meta.c2
	[ "$(bytes_used c2 "$V")" -le "$(bytes_used c1 "$V")" ]
	# Where it was made so, and where it goes, is as told.
	coffer restore latest --to rbd:backups/told -o "$C2" -q -o order=21 \
		-o features=layering -o stripe-unit=2M -o stripe-count=1
	same_as_source c2 backups/told
	rbd_on c2 info --format json backups/told >told
	[ "$(jq -c '[.order, .features]' told)" = '[21,["layering"]]' ]
	fails_with 1 "exists" restore latest --to rbd:backups/told -o "$C2"
}

@test "every image of a snapshot comes back to its place, or to a pool" {
	begin
	for name in a b; do
		image_is volumes/all-$name
		new_image 8
	done
	rbd_on c1 namespace create --pool volumes --namespace tenant
	image_is volumes/tenant/c
	rbd_on c1 create --size 4M "$V"
	coffer backup -q -o "$C1" 'rbd:volumes/all-*' rbd:volumes/tenant/c
	fails_with 2 "several images" restore latest --to rbd:volumes/x -o "$C2"
	rbd_on c2 namespace create --pool volumes --namespace tenant
	coffer restore latest --to rbd: -o "$C2" --json >summary
	[ "$(member images)" -eq 3 ]
	for name in volumes/all-a volumes/all-b volumes/tenant/c; do
		same_as_source c2 "$name" "$name"
	done
	# One that is in the way does not keep the others.
	rbd_on c2 create --size 4M backups/all-a
	rbd_on c2 namespace create --pool backups --namespace tenant
	run coffer restore latest --to rbd:backups/ -o "$C2"
	[ "$status" -eq 3 ]
	same_as_source c2 backups/all-b volumes/all-b
}

@test "over what is there: only what differs, by difference and by reading" {
	begin
	new_image 64
	backup
	first=$(coffer snapshots --json | jq -r .id)
	scribble c1 "$V" 1000000 one
	scribble c1 "$V" 60000000 two
	backup
	rbd_on c1 snap create --no-progress "$V@mine"
	want=$(rbd_sum c1 "$V")
	scribble c1 "$V" 9000000 oops
	scribble c1 "$V" 61000000 oops
	# The snapshot of the last backup is there: little is read.
	coffer restore latest --to "rbd:$V" -o "$C1" --overwrite always --dry-run --json >summary
	[ "$(member bytes_written)" -eq 8192 ] || [ "$(member bytes_zeroed)" -gt 0 ]
	[ "$(rbd_sum c1 "$V")" != "$want" ]
	coffer restore latest --to "rbd:$V" -o "$C1" --overwrite always --json >summary
	cat summary
	[ "$(rbd_sum c1 "$V")" = "$want" ]
	[ "$(($(member bytes_written) + $(member bytes_zeroed)))" -le 8192 ]
	[ "$(member bytes_compared)" -le $((1 << 20)) ]
	# An older one, by the newer one's snapshot.
	coffer restore "$first" --to "rbd:$V" -o "$C1" --overwrite always --json >summary
	[ "$(($(member bytes_written) + $(member bytes_zeroed)))" -le $((16 << 10)) ]
	[ "$(member bytes_compared)" -le $((2 << 20)) ]
	coffer restore "$first" --to raw:old -q
	[ "$(rbd_sum c1 "$V")" = "$(sha256sum <old | cut -d ' ' -f 1)" ]
	# Without any snapshot of ours, and of another size: all of it is read.
	# Foreign snapshots stay.
	rbd_on c1 snap ls --format json "$V" | jq -r '.[].name' | grep '^coffer\.' |
		while read -r s; do rbd_on c1 snap rm --no-progress "$V@$s"; done
	rbd_on c1 resize --no-progress --size 80M "$V"
	coffer restore latest --to "rbd:$V" -o "$C1" --overwrite always --json --verify >summary
	[ "$(rbd_sum c1 "$V")" = "$want" ]
	[ "$(($(member bytes_written) + $(member bytes_zeroed)))" -le $((16 << 10)) ]
	[ "$(member bytes_compared)" -ge $((48 << 20)) ]
	[ "$(rbd_on c1 snap ls --format json "$V" | jq -r '.[].name')" = mine ]
	[ "$(rbd_sum c1 "$V@mine")" = "$want" ]
}

@test "what was rolled back is not taken for unchanged" {
	begin
	new_image 16
	rbd_on c1 snap create --no-progress "$V@old"
	scribble c1 "$V" 5000000 "written after the first snapshot"
	backup
	want=$(rbd_sum c1 "$V")
	rbd_on c1 snap rollback --no-progress "$V@old"
	[ "$(rbd_sum c1 "$V")" != "$want" ]
	coffer restore latest --to "rbd:$V" -o "$C1" --overwrite always -q
	[ "$(rbd_sum c1 "$V")" = "$want" ]
}

@test "killed and run again, it goes on; until then it says what it is" {
	begin
	new_image 64
	backup
	slow_down 120
	"$COFFER" restore latest --to "rbd:$V" -o "$C2" -o depth=1 \
		--mark-every 1M --workers 1 -q 3>&- &
	pid=$!
	within 120 has_begun "$V"
	kill -KILL $pid
	wait $pid || true
	speed_up
	rbd_on c2 image-meta list "$V"
	[ "$(rbd_on c2 image-meta get "$V" coffer.restore.done)" -gt 0 ]
	rbd_on c2 image-meta get "$V" coffer.restore | grep '^new:.*:/images/volumes/v'
	# Nothing else takes it for its own.
	backup
	fails_with 1 "exists" restore latest --to "rbd:$V" -o "$C2"
	id=$(coffer snapshots --json | jq -r .id | head -1)
	coffer restore "$id" --to "rbd:$V" -o "$C2" --json >summary
	cat summary
	[ "$(member bytes_resumed)" -gt 0 ]
	same_as_source c2 "$V"
	rbd_on c2 image-meta list "$V" | grep -q 'are 0 metadata'
}

@test "an image that others have open is left alone unless told" {
	begin
	new_image 8
	backup
	rbd_on c1 create --size 8M backups/busy
	/usr/bin/python3 - "$(ceph_conf c1)" <<-'END' 3>&- &
		import os, sys, time, rados, rbd
		parent = os.getppid()
		cluster = rados.Rados(conffile=sys.argv[1])
		cluster.connect()
		io = cluster.open_ioctx("backups")
		image = rbd.Image(io, "busy")
		open("ready", "w").close()
		while os.getppid() == parent:
		    time.sleep(0.1)
	END
	pid=$!
	within 120 [ -e ready ]
	fails_with 1 "others have it open" restore latest --to rbd:backups/busy \
		-o "$C1" --overwrite always
	coffer restore latest --to rbd:backups/busy -o "$C1" --overwrite always -o force=yes -q
	kill -KILL $pid
	same_as_source c1 backups/busy
}

@test "a clone without its parent's data is a clone again" {
	begin
	new_image 16
	P=$V
	rbd_on c1 snap create --no-progress "$P@base"
	rbd_on c1 snap protect "$P@base"
	image_is volumes/clone
	rbd_on c1 clone "$P@base" "$V"
	scribble c1 "$V" 5000000 "a word of its own"
	rbd_on c1 bench --io-type write --io-size 4K --io-total 64K --io-pattern rand "$V" >/dev/null
	coffer backup -q -o "$C1" -o parent=no "rbd:$V"
	coffer restore latest --to rbd:backups/clone -o "$C1" -q --verify
	same_as_source c1 backups/clone
	rbd_on c1 info --format json backups/clone | jq -e '.parent.snapshot == "base"'
	[ "$(bytes_used c1 backups/clone)" -le "$(bytes_used c1 "$V")" ]
	fails_with 1 "is not in this cluster" restore latest --to rbd:backups/clone -o "$C2"
	fails_with 2 "without its parent" restore latest --to raw:clone.raw
	# With the parent's data it is an image like others.
	coffer backup -q -o "$C1" "rbd:$V"
	coffer restore latest --to rbd:backups/clone -o "$C2" -q
	same_as_source c2 backups/clone
	coffer restore latest --to qcow2:clone.qcow2 -q --verify
	qemu-img check -q clone.qcow2
	qemu-img convert -O raw clone.qcow2 clone.raw
	[ "$(rbd_sum c1 "$V")" = "$(sha256sum <clone.raw | cut -d ' ' -f 1)" ]
}

@test "files, pipes and what the target refuses" {
	begin
	new_image 16
	backup
	want=$(rbd_sum c1 "$V")
	coffer restore latest --to raw:a.raw -q --verify
	[ "$(sha256sum <a.raw | cut -d ' ' -f 1)" = "$want" ]
	[ "$(du -k a.raw | cut -f 1)" -lt $((13 << 10)) ]
	[ "$(coffer restore latest --to - 2>/dev/null | sha256sum | cut -d ' ' -f 1)" = "$want" ]
	[ ! -e a.raw.coffer-restore ]
	fails_with 1 "no such pool" restore latest --to rbd:nothing/x -o "$C2"
	fails_with 2 "rbd:POOL" restore latest --to rbd:x -o "$C2"
	fails_with 2 "no option" restore latest --to rbd:volumes/x -o nothing=1
	fails_with 2 "cannot be read again" restore latest --to - --verify
	fails_with 2 "no feature" restore latest --to rbd:volumes/x -o "$C2" -o features=magic
	# A user who may only write in one pool.
	ceph_on c2 auth get-or-create client.pilot mon 'profile rbd' \
		osd 'profile rbd pool=backups' >pilot.keyring
	fails_with 1 "" restore latest --to rbd:volumes/denied -o "$C2" \
		-o user=pilot -o keyring=pilot.keyring
	coffer restore latest --to rbd:backups/allowed -o "$C2" -q \
		-o user=pilot -o keyring=pilot.keyring
	same_as_source c2 backups/allowed
	: >empty.keyring
	fails_with 1 "" restore latest --to rbd:backups/x -o "$C2" -o user=nobody \
		-o keyring=empty.keyring -o timeout=5
}

full_ratios() {
	ceph_on c2 osd set-nearfull-ratio "$1" 2>/dev/null
	ceph_on c2 osd set-backfillfull-ratio "$2" 2>/dev/null
	ceph_on c2 osd set-full-ratio "$3" 2>/dev/null
}

# The OSD says first that it is nearly full, which stops nobody.
cluster_is_full() {
	ceph_on c2 osd dump | grep -qE '^osd\.0 .*[, ]full'
}

cluster_is_not_full() { ! cluster_is_full; }

@test "a full cluster ends it with a sentence" {
	begin
	new_image 64
	backup
	coffer restore latest --to rbd:volumes/there -o "$C2" -q
	full_ratios 0.001 0.002 0.003
	within 200 cluster_is_full
	run timeout 300 "$COFFER" restore latest --to rbd:volumes/full -o "$C2" -o timeout=10
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"the cluster is full"* ]]
	full_ratios 0.85 0.9 0.95
	within 200 cluster_is_not_full
	coffer restore latest --to rbd:volumes/full -o "$C2" -q --overwrite always
	same_as_source c2 volumes/full
}

nobody_has_it_open() { rbd_on c2 status "$1" | grep -q 'Watchers: none'; }

@test "an OSD that stops before the image is open, or while it is opened" {
	begin
	new_image 8
	backup
	rbd_on c2 create --size 8M volumes/stuck
	local osd at begin status
	osd=$(cat "$LAB/c2/run/osd.0.pid")
	begin=$SECONDS
	kill -STOP "$osd"
	fails_with 1 "volumes/stuck: cannot open it: the cluster did not answer in time" \
		restore latest --to rbd:volumes/stuck -o "$C2" --overwrite always -o timeout=2
	kill -CONT "$osd"
	[ $((SECONDS - begin)) -lt 30 ]
	# Nothing was begun.
	within 30 nobody_has_it_open volumes/stuck
	rbd_on c2 image-meta list volumes/stuck | grep -q 'are 0 metadata'
	[ -z "$(rbd_on c2 lock ls volumes/stuck)" ]
	# Wherever it was, it ends in time, and with a sentence unless it was done.
	for at in 0.040 0.050 0.060; do
		"$COFFER" restore latest --to rbd:volumes/stuck -o "$C2" -o timeout=1 \
			--overwrite always -q 2>said 3>&- &
		pid=$!
		sleep "$at"
		kill -STOP "$osd"
		begin=$SECONDS
		status=0
		wait $pid || status=$?
		kill -CONT "$osd"
		echo "stopped after $at: $status, $((SECONDS - begin)) s, $(cat said)"
		[ $((SECONDS - begin)) -lt 45 ]
		[ "$(wc -l <said)" -eq "$status" ]
		[ "$status" -le 1 ]
		within 30 nobody_has_it_open volumes/stuck
	done
	coffer restore latest --to rbd:volumes/stuck -o "$C2" --overwrite always -q
	same_as_source c2 volumes/stuck
	within 30 nobody_has_it_open volumes/stuck
	rbd_on c2 image-meta list volumes/stuck | grep -q 'are 0 metadata'
}

@test "an OSD that stops ends it with a sentence, and it goes on when it is back" {
	begin
	new_image 64
	backup
	slow_down 120
	"$COFFER" restore latest --to rbd:volumes/dead -o "$C2" -o timeout=8 -o depth=1 \
		--mark-every 1M --workers 1 -q 2>said 3>&- &
	pid=$!
	within 120 has_begun volumes/dead
	kill -STOP "$(cat "$LAB/c2/run/osd.0.pid")"
	begin=$(date +%s)
	status=0
	wait $pid || status=$?
	cat said
	[ "$status" -eq 1 ]
	[ "$(wc -l <said)" -eq 1 ]
	[ "$(($(date +%s) - begin))" -lt 180 ]
	kill -CONT "$(cat "$LAB/c2/run/osd.0.pid")"
	speed_up
	within 120 coffer restore latest --to rbd:volumes/dead -o "$C2" -o timeout=10 -q
	same_as_source c2 volumes/dead
	ceph_cluster_stop c2
	fails_with 1 "" restore latest --to rbd:volumes/dead -o "$C2" -o timeout=3
}
