/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/repo_tools.h"
#include "tests/lib/tree_tools.h"

static struct error err;

/* A tree goes into a repository, and comes back when that is opened anew. */
static void
tree_comes_back(void **state)
{
	struct writer_conf conf = { .host = "h" };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct buf data = BUF_INIT(100);
	struct tree_io_repo io;
	struct writer *w = NULL;
	struct tree_root root;
	struct tree_set set;
	struct cursor *c = NULL;
	struct ticket ticket;
	struct item item;
	struct prng p;

	prng_init(&p, 1);
	tree_set_random(&set, &p, 3000, GEN_PATHS);
	must(writer_open(&w, r, &conf, &err), &err);
	tree_io_repo_init(&io, r, lane, w);
	root = tools_build(&io.io, &set);
	must(io.io.ops->put_data(&io.io, "bytes", 5, &ticket, &err), &err);
	must(ticket_wait(&ticket, &err), &err);
	must(writer_flush(w, &err), &err);
	writer_free(w);
	lane_free(lane);
	repo_close(r);

	r = tool_open(st, TOOL_PASS);
	lane = tool_lane(r);
	tree_io_repo_init(&io, r, lane, NULL);
	must(cursor_open(&c, &io.io, TREE_ENTRIES, &root.id, &err), &err);
	for (size_t i = 0; i < set.n; i++) {
		must(cursor_next(c, &item, &err), &err);
		assert_true(gen_item_eq(&item, &set.v[i]));
	}
	must(io.io.ops->get_data(&io.io, &ticket.id, &data, &err), &err);
	assert_int_equal(data.len, 5);
	assert_memory_equal(data.data, "bytes", 5);
	cursor_close(c);
	tree_set_fini(&set);
	buf_fini(&data);
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

static void
reading_only_is_said(void **state)
{
	struct node_bytes node = { .head = "", .body = "" };
	struct store *st = tool_repo_store();
	struct repo *r = tool_open(st, TOOL_PASS);
	struct lane *lane = tool_lane(r);
	struct tree_io_repo io;
	struct ticket ticket;
	struct id id;

	tree_io_repo_init(&io, r, lane, NULL);
	must_fail(io.io.ops->put_node(&io.io, &node, &id, &err), ERR_USAGE,
		&err, "reading only");
	must_fail(io.io.ops->put_data(&io.io, "x", 1, &ticket, &err), ERR_USAGE,
		&err, "reading only");
	/* Whoever waits all the same is told, and not left waiting. */
	must_fail(ticket_wait(&ticket, &err), ERR_USAGE, &err, "reading only");
	lane_free(lane);
	repo_close(r);
	store_close(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_comes_back),
		cmocka_unit_test(reading_only_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
