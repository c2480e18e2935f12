/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsx.h"
#include "base/leave.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/jsonl.h"

_Atomic bool cli_stop;

static void
on_signal(int number)
{
	(void)number;
	cli_stop = true;
}

/* The first signal asks the run to end, a second one ends the process. */
static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	sa = (struct sigaction){ .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &sa, NULL);
}

void
cli_warn(const struct cli *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->json)
		jsonl_message(stderr, "warning", text);
	else
		(void)fprintf(stderr, "coffer: %s\n", text);
}

enum err
cli_flush(struct error *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(err, errno, "standard output");
	return ERR_OK;
}

static int
status_of(const struct cli *c, enum err rc)
{
	switch (rc) {
	case ERR_OK:
		return c->incomplete ? EXIT_INCOMPLETE : c->passed_on;
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_CANCELLED:
		return EXIT_INTERRUPTED;
	default:
		return c->failed_as != EXIT_DONE ? (int)c->failed_as
						 : EXIT_FAILED;
	}
}

static void
tell_failure(const struct cli *c, const struct error *err)
{
	if (c->json)
		jsonl_failure(stderr, err);
	else
		(void)fprintf(stderr, "coffer: %s\n", err->msg);
}

int
main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct cli c;
	int status;
	enum err rc;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet */
	(void)setlocale(LC_CTYPE, "");
	catch_signals();
	(void)fsx_raise_nofile();
	rc = cli_parse(&c, argc, argv, &err);
	if (rc == ERR_OK && flag_on(&c, "version"))
		c.command = &cmd_version;
	if (rc == ERR_OK && (c.command == NULL || flag_on(&c, "help"))) {
		help_print(stdout, c.command);
		if (c.command == NULL && !flag_on(&c, "help"))
			rc = err_set(&err, ERR_USAGE, "no command given");
	} else if (rc == ERR_OK) {
		rc = c.command->run(&c, &err);
	}
	if (rc == ERR_OK)
		rc = cli_flush(&err);
	if (rc != ERR_OK)
		tell_failure(&c, &err);
	status = status_of(&c, rc);
	cli_fini(&c);
	leave(status);
}
