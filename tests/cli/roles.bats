#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What each role may do: every command as every role, on real repositories.

bats_require_minimum_version 1.5.0
load helper

# One key of each role: the key file $T/ROLE opens it.
new_repo_of_roles() {
	new_repo
	local role
	for role in admin reader maintainer writer; do
		coffer key generate -q "$T/$role"
		coffer key add -q --role "$role" --new-key-file "$T/$role" \
			--label "the $role"
	done
	unset COFFER_PASSWORD
}

as() {
	local role=$1
	shift
	coffer --key-file "$T/$role" "$@"
}

# The command is denied to every role but those of $1, with one sentence that
# names the command, and does something only for those.
only_for() {
	local roles=$1 role
	shift
	for role in admin reader maintainer writer; do
		echo "$role: $*"
		if [[ " $roles " == *" $role "* ]]; then
			as "$role" "$@" >"$T/out"
		else
			fails_with 1 "not a $role key" \
				--key-file "$T/$role" "$@"
		fi
	done
}


# The id of the key with that label.
keyid() {
	as admin key list | sed -n "s/^. \\([0-9a-f]*\\)  .*  $1\$/\\1/p"
}

@test "reading is for admins and readers" {
	small_tree "$T/tree"
	new_repo_of_roles
	as admin backup -q "$T/tree"
	only_for "admin reader" ls latest
	only_for "admin reader" find -s latest numbers
	only_for "admin reader" cat latest "$T/tree/a.txt"
	only_for "admin reader" diff latest latest
	only_for "admin reader" restore -q latest --target "$T/back"
	only_for "admin reader" restore -q --dry-run latest --target "$T/back"
	only_for "admin reader maintainer" check
	diff -r --no-dereference --exclude=fifo "$T/tree" "$T/back$T/tree"
}

@test "everybody may see what there is" {
	mkdir "$T/a"
	new_repo_of_roles
	as admin backup -q "$T/a"
	local all="admin reader maintainer writer"
	only_for "$all" snapshots
	[ "$(as writer snapshots --json | wc -l)" -eq 1 ]
	only_for "$all" stats
	only_for "$all" key list
	[ "$(as writer key list --json | wc -l)" -eq 5 ]
}

@test "writing is for admins and writers" {
	small_tree "$T/tree"
	new_repo_of_roles
	only_for "admin writer" backup -q "$T/tree"
	only_for "admin writer" backup -q --dry-run "$T/tree"
	only_for "admin writer" backup -q --stdin --name x -- echo hello
	[ "$(as admin snapshots --json | wc -l)" -eq 4 ]
	run -0 as reader check --read-data
}

@test "forgetting and pruning are for admins and maintainers" {
	mkdir "$T/a"
	new_repo_of_roles
	local i role id all="admin reader maintainer writer"
	for i in 1 2 3 4 5; do
		as admin backup -q "$T/a"
	done
	for role in maintainer admin; do
		id=$(as admin snapshots --json | head -n 1 |
			sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
		for cmd in "hold --reason why" release forget undelete; do
			for i in reader writer; do
				# shellcheck disable=SC2086  # words
				fails_with 1 "not a $i key" \
					--key-file "$T/$i" $cmd "$id"
			done
			# shellcheck disable=SC2086
			as "$role" $cmd "$id"
		done
		as "$role" forget "$id"
	done
	only_for "$all" forget --dry-run --keep-last 1
	only_for "admin maintainer" forget -q --keep-last 2
	[ "$(as reader snapshots --json | wc -l)" -eq 2 ]
	only_for "$all" prune --dry-run
	only_for "admin maintainer" prune -q
	run -0 as reader check --read-data
}

@test "keys are made, removed and rotated by admins" {
	new_repo_of_roles
	local role
	only_for admin key rotate -q
	coffer key generate -q "$T/new"
	for role in admin reader maintainer writer; do
		only_for admin key add -q --role "$role" \
			--new-key-file "$T/new" --label "a new $role"
	done
	for role in reader maintainer writer; do
		fails_with 1 "not a $role key" --key-file "$T/$role" \
			key remove "$(keyid "a new $role")"
	done
	for role in reader maintainer writer; do
		as admin key remove -q "$(keyid "a new $role")"
	done
}

@test "everybody changes the passphrase of the own key" {
	small_tree "$T/tree"
	new_repo_of_roles
	as writer backup -q "$T/tree"
	local role before after
	for role in admin reader maintainer writer; do
		before=$(as "$role" key list --json | grep '"in_use":true' |
			sed 's/.*"identity":"\([0-9a-f]*\)".*/\1/')
		coffer key generate -q "$T/$role.new"
		as "$role" key passwd -q --new-key-file "$T/$role.new"
		fails_with 12 "wrong passphrase" --key-file "$T/$role" snapshots
		mv "$T/$role.new" "$T/$role"
		after=$(as "$role" key list --json | grep '"in_use":true' |
			sed 's/.*"identity":"\([0-9a-f]*\)".*/\1/')
		[ -n "$after" ]
		[ "$before" = "$after" ]
	done
	[ "$(as admin key list | grep -c 'the \(admin\|reader\|maintainer\|writer\)$')" -eq 4 ]
	as writer backup -q "$T/tree"
	run -0 as reader check --read-data
}

@test "a writer deduplicates what it cannot read, and readers get it back" {
	head -c 5000000 /dev/urandom >"$T/random"
	new_repo_of_roles
	as admin backup -q "$T/random"
	run -0 as writer backup --json --no-progress "$T/random"
	[[ $output == *'"bytes_read":5000000'* ]]
	[[ ${lines[-1]} =~ \"bytes_added\":([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -lt 100000 ]
	echo more >>"$T/random"
	as writer backup -q "$T/random"
	as reader cat latest "$T/random" | cmp - "$T/random"
	run -0 as admin check --read-data
}

@test "after a rotation everybody goes on, and who was removed does not" {
	head -c 300000 /dev/urandom >"$T/one"
	head -c 300000 /dev/urandom >"$T/two"
	head -c 300000 /dev/urandom >"$T/three"
	new_repo_of_roles
	as writer backup -q "$T/one"
	cp -r "$T/repo" "$T/before"
	run -0 as admin key rotate
	[[ $output == *"data key 2"* ]]
	as writer backup -q "$T/two"
	as admin key remove -q "$(keyid "the reader")"
	run -0 as admin key rotate --json
	[[ $output == *'"data_key":3'* ]]
	as writer backup -q "$T/three"
	as admin restore -q latest --target "$T/back"
	cmp "$T/three" "$T/back$T/three"
	run -0 as admin check --read-data
	fails_with 12 "wrong passphrase" --key-file "$T/reader" snapshots

	# With its old object put back it opens what it always could.
	cp -n "$T"/before/keys/* "$T/repo/keys/"
	as admin key list | grep -q 'the reader  ! removed before'
	run -0 as reader snapshots
	run -1 as reader check --read-data
	as admin key rotate -q
	as writer backup -q "$T/one"
	run -1 as reader cat latest "$T/one"
	as admin cat latest "$T/one" | cmp - "$T/one"

	# A key that is added now opens everything.
	coffer key generate -q "$T/late"
	as admin key add -q --role reader --new-key-file "$T/late"
	run -0 as late check --read-data
}

@test "the last admin key stays" {
	new_repo_of_roles
	unlabelled=$(COFFER_PASSWORD=secret coffer key list |
		sed -n 's/^\* \([0-9a-f]*\).*/\1/p')
	admin=$(as admin key list | sed -n 's/^\* \([0-9a-f]*\).*/\1/p')
	fails_with 2 "in use" --key-file "$T/admin" key remove "$admin"
	as admin key remove -q "$unlabelled"
	fails_with 2 "in use" --key-file "$T/admin" key remove "$admin"
	[ "$(as admin key list --json | grep -c '"role":"admin"')" -eq 1 ]
}

@test "key files are private, whole, and not too short" {
	coffer key generate "$T/key"
	[ "$(stat -c %a "$T/key")" = 600 ]
	[ "$(wc -c <"$T/key")" -eq 65 ]
	fails_with 1 "exists" key generate "$T/key"
	unset COFFER_PASSWORD
	coffer init -q --key-file "$T/key"
	run -0 coffer -k "$T/key" snapshots
	COFFER_KEY_FILE=$T/key run -0 coffer snapshots
	head -c 64 "$T/key" >"$T/cut"
	fails_with 12 "wrong passphrase" -k "$T/cut" snapshots
	echo short >"$T/short"
	fails_with 2 "no key file" -k "$T/short" snapshots
	fails_with 2 "no key file" -k "$T/key" key add --new-key-file "$T/short"
	fails_with 2 "--role" -k "$T/key" key add --role boss
	fails_with 2 "one of them" -k "$T/key" key add \
		--new-key-file "$T/cut" --new-password-file "$T/cut"
	head -c 5000 /dev/zero >"$T/long"
	fails_with 1 "long" -k "$T/long" snapshots
}

@test "a damaged or forged key is told and gets in nobody's way" {
	new_repo_of_roles
	reader=$(keyid "the reader")
	chmod u+w "$T/repo/keys/$reader"
	flip "$T/repo/keys/$reader" 150
	echo junk >"$T/repo/keys/0123456789abcdef"
	as admin key list >"$T/list"
	[ "$(grep -c '! damaged' "$T/list")" -eq 2 ]
	run -0 as writer snapshots
	run -0 as admin key rotate
	as admin key remove -q "$reader"
	as admin key remove -q 0123456789abcdef
	[ "$(as admin key list --json | grep -c '"damaged":true')" -eq 0 ]
}

@test "the second decoder opens what was sealed after rotations" {
	/usr/bin/python3 -c 'import zstandard, cryptography' ||
		skip "python3-zstandard and python3-cryptography are needed"
	small_tree "$T/tree"
	new_repo_of_roles
	as writer backup -q "$T/tree"
	for _ in 1 2 3; do
		as admin key rotate -q
		head -c 100000 /dev/urandom >"$T/tree/fresh"
		as writer backup -q "$T/tree"
	done
	# With its newline, which a command substitution takes away.
	key="$(cat "$T/reader")
"
	/usr/bin/python3 tests/compat/decoder.py "$T/repo" "$key" verify
	/usr/bin/python3 tests/compat/decoder.py "$T/repo" "$key" \
		restore latest "$T/back"
	cmp "$T/tree/fresh" "$T/back$T/tree/fresh"
}
