#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The main jobs, as a user types them.

bats_require_minimum_version 1.5.0
load helper

@test "a tree comes back as it was" {
	small_tree "$T/tree"
	new_repo
	run -0 coffer backup -q "$T/tree"
	run -0 coffer restore -q "latest:$T/tree" --target "$T/back"
	diff -r --no-dereference --exclude=fifo "$T/tree" "$T/back"
	cmp <(listing "$T/tree") <(listing "$T/back")
	[ "$(stat -c %b "$T/back/sparse")" -lt 1000 ]
	[ "$T/back/a.txt" -ef "$T/back/sub/hard" ]
}

@test "ls, find, cat and diff agree with the source" {
	small_tree "$T/tree"
	new_repo
	coffer backup -q "$T/tree"
	coffer ls --json "latest:$T/tree" | wc -l >"$T/n"
	[ "$(cat "$T/n")" -eq "$(find "$T/tree" -printf 'x\n' | wc -l)" ]
	coffer cat "latest:$T/tree/sub/random" | cmp - "$T/tree/sub/random"
	coffer cat latest "$T/tree/sparse" | cmp - "$T/tree/sparse"
	coffer cat latest "$T/tree/sub/hard" | cmp - "$T/tree/a.txt"
	run -0 coffer find -s latest numbers
	[[ $output == *"$T/tree/sub/deep/numbers"* ]]
	echo more >>"$T/tree/a.txt"
	rm "$T/tree/zero"
	mkdir "$T/tree/fresh"
	first=$(coffer snapshots --json | tail -n 1 | sed 's/.*"short_id":"\([^"]*\).*/\1/')
	coffer backup -q "$T/tree"
	run -0 coffer diff -q "$first" latest
	[[ $output == *"M  $T/tree/a.txt"* ]]
	[[ $output == *"-  $T/tree/zero"* ]]
	[[ $output == *"+  $T/tree/fresh"* ]]
	[[ $output != *random* ]]
}

@test "diff tells changed bytes, not chunks that were cut anew" {
	mkdir "$T/tree"
	for i in {1..200}; do
		head -c "$((i * 97))" /dev/urandom >"$T/tree/f$i"
	done
	ln "$T/tree/f150" "$T/tree/z150"
	new_repo
	coffer backup -q "$T/tree"
	first=$(coffer snapshots --json | tail -n 1 | sed 's/.*"short_id":"\([^"]*\).*/\1/')
	rm "$T/tree/f1" "$T/tree"/f11*
	flip "$T/tree/f99" 50
	coffer backup -q --force "$T/tree"
	run -0 coffer diff "$first" latest
	[ "$(grep -c '^M' <<<"$output")" -eq 1 ]
	[[ $output == *"M  $T/tree/f99"* ]]
	[ "$(grep -c '^-' <<<"$output")" -eq 12 ]
	[[ $output != *z150* ]]
}

@test "an unchanged backup reads and stores nothing" {
	small_tree "$T/tree"
	find "$T" -exec touch -h -d '2020-01-01' {} +
	new_repo
	coffer backup -q "$T/tree"
	sleep 2.1
	coffer backup -q "$T/tree"
	run -0 coffer backup --json --no-progress "$T/tree"
	[[ $output == *'"bytes_read":0'* ]]
}

@test "standard input, and a command whose exit status decides" {
	new_repo
	echo piped | coffer backup -q --stdin --name dir/in.txt
	[ "$(coffer cat latest:dir/in.txt)" = piped ]
	coffer backup -q --stdin --name out.bin -- head -c 3000000 /dev/zero
	[ "$(coffer cat latest:out.bin | wc -c)" -eq 3000000 ]
	fails_with 1 "exit status 1" backup --stdin --name x -- false
	fails_with 1 "no-such-program" backup --stdin --name x -- no-such-program
	[ "$(coffer snapshots --json | wc -l)" -eq 2 ]
}

@test "tags, hosts, times and latest" {
	mkdir "$T/a" "$T/b"
	new_repo
	coffer backup -q "$T/a" --host one --tag x,y --time 2020-01-02T03:04:05Z
	coffer backup -q "$T/b" --host two --tag y
	[ "$(coffer snapshots --json --tag x | wc -l)" -eq 1 ]
	[ "$(coffer snapshots --json --tag y | wc -l)" -eq 2 ]
	[ "$(coffer snapshots --json --host two --tag x | wc -l)" -eq 0 ]
	coffer snapshots --json --host one | grep -q '"time":"2020-01-02T03:04:05'
	coffer snapshots --json --path "$T/b" | grep -q '"host":"two"'
	fails_with 1 "no snapshot" ls latest --host three
}

@test "unreadable files are named, and the rest goes on" {
	[ "$(id -u)" -ne 0 ] || skip "root reads everything"
	small_tree "$T/tree"
	chmod 000 "$T/tree/sub/random"
	new_repo
	run -3 coffer backup "$T/tree"
	[[ $output == *"sub/random"* ]]
	coffer cat "latest:$T/tree/a.txt" | cmp - "$T/tree/a.txt"
}

@test "what excludes say is left out" {
	small_tree "$T/tree"
	mkdir "$T/tree/cache"
	printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >"$T/tree/cache/CACHEDIR.TAG"
	echo big >"$T/tree/cache/big"
	new_repo
	coffer backup -q "$T/tree" --exclude '*.txt' --exclude-caches \
		--exclude-larger-than 1M --exclude "$T/tree/sub/deep"
	run -0 coffer ls "latest:$T/tree"
	[[ $output != *a.txt* ]]
	[[ $output != *numbers* ]]
	[[ $output != *sparse* ]]
	[[ $output != */big* ]]
	[[ $output == *CACHEDIR.TAG* ]]
	[[ $output == *random* ]]
}

@test "a dry run writes nothing" {
	small_tree "$T/tree"
	new_repo
	find "$T/repo" -type f | sort >"$T/before"
	coffer backup -q --dry-run "$T/tree"
	find "$T/repo" -type f | sort | cmp - "$T/before"
	coffer backup -q "$T/tree"
	run -0 coffer restore --dry-run latest --target "$T/none"
	[ ! -e "$T/none" ] || [ -z "$(ls -A "$T/none")" ]
}

@test "keys are added, used, changed and removed" {
	mkdir "$T/a"
	new_repo
	coffer backup -q "$T/a"
	echo second >"$T/p2"
	echo third >"$T/p3"
	coffer key add -q --new-password-file "$T/p2"
	[ "$(coffer key list --json | wc -l)" -eq 2 ]
	run -0 coffer -p "$T/p2" snapshots
	first=$(coffer key list | sed -n 's/^\* \([0-9a-f]*\).*/\1/p')
	fails_with 2 "in use" key remove "$first"
	coffer -p "$T/p2" key remove -q "$first"
	fails_with 12 "wrong passphrase" snapshots
	coffer -p "$T/p2" key passwd -q --new-password-file "$T/p3"
	fails_with 12 "wrong passphrase" -p "$T/p2" snapshots
	run -0 coffer -p "$T/p3" check -q
	[ "$(coffer -p "$T/p3" key list --json | wc -l)" -eq 1 ]
}

@test "passphrases come from files, commands and the environment" {
	new_repo
	echo secret >"$T/pass"
	unset COFFER_PASSWORD
	run -0 coffer --password-file "$T/pass" snapshots
	run -0 coffer --password-command "cat '$T/pass'" snapshots
	COFFER_PASSWORD_FILE=$T/pass run -0 coffer snapshots
	COFFER_PASSWORD_COMMAND="cat $T/pass" run -0 coffer snapshots
	fails_with 1 "exit status 1" --password-command false snapshots
}

@test "every line of --json is an object" {
	small_tree "$T/tree"
	new_repo
	{
		coffer backup --json -v "$T/tree"
		coffer snapshots --json
		coffer ls --json latest
		coffer find --json '*'
		coffer diff --json latest latest
		coffer check --json --read-data
		coffer stats --json
		coffer key list --json
		coffer version --json
		coffer restore --json --dry-run latest --target "$T/x"
	} >"$T/lines"
	/usr/bin/python3 -c 'import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    assert "type" in json.loads(line)' "$T/lines"
}

@test "help, completion and version" {
	run -0 coffer help
	run -0 coffer help backup
	run -0 coffer backup --help
	run -0 coffer help source files
	[[ $output == *exclude-if-present* ]]
	run -0 coffer --version
	local flag=$output
	run -0 coffer version
	[ "$output" = "$flag" ]
	coffer completion bash | bash -n
	for c in init backup snapshots ls find cat diff restore check stats; do
		coffer completion bash | grep -q "'$c')"
		coffer completion zsh | grep -q "'$c')"
	done
}
