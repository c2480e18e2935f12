/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "base/units.h"
#include "cli/jsonl.h"
#include "cli/text.h"
#include "model/path.h"

enum { CURRENT_MAX = 256, LINE_MAX_CHARS = 512 };

struct show {
	struct cli *cli;
	const char *verb;
	struct report report;
	struct progress progress;
	double begin;
	bool on; /* a thread draws */
	bool to_json;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ending;
	bool drawn; /* a line stands on the terminal */
};

/* ---- reports ---- */

static void
erase(struct show *s)
{
	if (!s->drawn)
		return;
	(void)fputs("\r\033[K", stderr);
	s->drawn = false;
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	struct show *s = arg;
	struct jsonl *j;
	struct buf name = BUF_INIT(1 << 20);

	pthread_mutex_lock(&s->lock);
	erase(s);
	s->cli->incomplete = true;
	if (s->cli->json) {
		j = jsonl_new("problem");
		if (key.data != NULL)
			jsonl_path(j, "path", key);
		jsonl_str(j, "code", err_name(why->code));
		jsonl_str(j, "message", why->msg);
		jsonl_print(j, stdout);
	} else if (key.data == NULL) {
		(void)fprintf(stderr, "coffer: %s\n", why->msg);
	} else {
		(void)fprintf(stderr, "coffer: %s: %s\n", text_key(&name, key),
			why->msg);
	}
	pthread_mutex_unlock(&s->lock);
	buf_fini(&name);
}

static void
on_note(void *arg, const char *sentence)
{
	struct show *s = arg;

	if (s->cli->quiet)
		return;
	pthread_mutex_lock(&s->lock);
	erase(s);
	if (s->cli->json)
		jsonl_message(stdout, "note", sentence);
	else
		(void)fprintf(stderr, "%s\n", sentence);
	pthread_mutex_unlock(&s->lock);
}

static void
on_entry(void *arg, struct bytes key, const struct entry *e, enum change change)
{
	static const char *const names[] = { "new", "changed", "unchanged",
		"removed" };
	static const char letters[] = "+M.-";
	struct show *s = arg;
	struct buf name = BUF_INIT(1 << 20);
	struct jsonl *j;

	if (change == CHANGE_SAME && s->cli->verbose < 2)
		return;
	pthread_mutex_lock(&s->lock);
	erase(s);
	if (s->cli->json) {
		j = jsonl_new("entry");
		jsonl_str(j, "change", names[change]);
		jsonl_entry(j, key, e);
		jsonl_print(j, stdout);
	} else {
		(void)printf("%c %s\n", letters[change], text_key(&name, key));
	}
	pthread_mutex_unlock(&s->lock);
	buf_fini(&name);
}

/* ---- the line ---- */

static unsigned
terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_col < 20)
		return 80;
	return ws.ws_col < LINE_MAX_CHARS ? ws.ws_col : LINE_MAX_CHARS;
}

/* Seconds left by the bytes, or the items where there are none; < 0 where it
 * cannot be told. */
static double
seconds_left(const struct progress *p, double elapsed)
{
	double done = (double)p->bytes_done, total = (double)p->bytes_total;

	if (total <= 0) {
		done = (double)p->items_done;
		total = (double)p->items_total;
	}
	if (done <= 0 || total <= done || elapsed < 1)
		return -1;
	return elapsed * (total - done) / done;
}

static void
draw(struct show *s)
{
	struct progress *p = &s->progress;
	double elapsed = mono_sec() - s->begin;
	double left = seconds_left(p, elapsed);
	char line[LINE_MAX_CHARS + 1], current[CURRENT_MAX];
	char bytes[24], rate[24], time[24], eta[24] = "";
	int n;

	units_bytes(p->bytes_done, bytes);
	units_bytes(elapsed > 0 ? (uint64_t)((double)p->bytes_done / elapsed)
				: 0,
		rate);
	units_duration(elapsed, time);
	if (left >= 0)
		units_duration(left, eta);
	progress_get_current(p, current);
	text_plain(current);
	n = snprintf(line, sizeof(line),
		"[%s] %s: %llu items, %s, %s/s%s%s%s%s  %s", time, s->verb,
		(unsigned long long)p->items_done, bytes, rate,
		left >= 0 ? ", " : "", eta, left >= 0 ? " left" : "",
		p->errors > 0 ? ", with problems" : "", current);
	if (n < 0)
		return;
	line[terminal_width() - 1] = '\0';
	(void)fprintf(stderr, "\r%s\033[K", line);
	(void)fflush(stderr);
	s->drawn = true;
}

static void
print_status(struct show *s)
{
	struct progress *p = &s->progress;
	double elapsed = mono_sec() - s->begin;
	double left = seconds_left(p, elapsed);
	struct jsonl *j = jsonl_new("status");

	jsonl_uint(j, "seconds_elapsed", (uint64_t)elapsed);
	jsonl_uint(j, "items_done", p->items_done);
	jsonl_uint(j, "bytes_done", p->bytes_done);
	if (p->items_total > 0)
		jsonl_uint(j, "items_total", p->items_total);
	if (p->bytes_total > 0)
		jsonl_uint(j, "bytes_total", p->bytes_total);
	if (left >= 0)
		jsonl_uint(j, "seconds_left", (uint64_t)left);
	jsonl_uint(j, "errors", p->errors);
	jsonl_print(j, stdout);
	(void)fflush(stdout);
}

static void *
draw_loop(void *arg)
{
	struct show *s = arg;
	struct timespec until;

	pthread_mutex_lock(&s->lock);
	while (!s->ending) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += s->to_json ? 0 : 500000000;
		until.tv_sec += s->to_json ? 1 : until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&s->cond, &s->lock, &until) !=
				ETIMEDOUT ||
			s->ending)
			continue;
		if (s->to_json)
			print_status(s);
		else
			draw(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

enum err
show_begin(struct show **out, struct cli *c, const char *verb,
	struct report *report, struct error *err)
{
	struct show *s = calloc(1, sizeof(*s));
	bool wanted = !c->quiet && !flag_on(c, "no-progress");

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->cli = c;
	s->verb = verb;
	s->begin = mono_sec();
	s->to_json = c->json;
	progress_init(&s->progress);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	s->report = (struct report){ .arg = s,
		.progress = &s->progress,
		.problem = on_problem,
		.note = on_note,
		.stop = &cli_stop };
	if (c->verbose > 0)
		s->report.entry = on_entry;
	if (wanted && (c->json || isatty(STDERR_FILENO) == 1))
		s->on = pthread_create(&s->thread, NULL, draw_loop, s) == 0;
	*report = s->report;
	*out = s;
	return ERR_OK;
}

void
show_end(struct show *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
	if (s->on)
		(void)pthread_join(s->thread, NULL);
	erase(s);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	progress_fini(&s->progress);
	free(s);
}
