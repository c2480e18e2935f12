/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

static const char *const option_types[] = { "yes|no", "text",
	"text, repeatable", "size", "number" };

static void
print_flag(FILE *out, const struct flag *f)
{
	char left[64];
	int n;

	n = snprintf(left, sizeof(left), "%c%c%s --%s%s%s%s",
		f->letter != 0 ? '-' : ' ', f->letter != 0 ? f->letter : ' ',
		f->letter != 0 ? "," : " ", f->name,
		f->value == NULL           ? ""
		: f->kind == FLAG_OPTIONAL ? "[="
					   : " ",
		f->value != NULL ? f->value : "",
		f->kind == FLAG_OPTIONAL ? "]" : "");
	if (n > 32)
		(void)fprintf(out, "  %s\n  %-32s %s\n", left, "", f->help);
	else
		(void)fprintf(out, "  %-32s %s\n", left, f->help);
}

static void
print_flags(FILE *out, const char *title, const struct flag *f)
{
	if (f == NULL || f->name == NULL)
		return;
	(void)fprintf(out, "\n%s\n", title);
	for (; f->name != NULL; f++)
		print_flag(out, f);
}

static void
print_program(FILE *out)
{
	(void)fputs("usage: coffer [-r REPOSITORY] COMMAND [FLAGS] "
		    "[OPERANDS]\n\n",
		out);
	for (size_t i = 0; commands[i] != NULL; i++)
		(void)fprintf(out, "  %-14s %s\n", commands[i]->name,
			commands[i]->summary);
	print_flags(out, "Flags of every command:", global_flags);
	(void)fputs("\n\"coffer help COMMAND\" tells more, "
		    "\"coffer help source NAME\" a source's options, "
		    "\"coffer help target NAME\" a target's.\n",
		out);
}

void
help_print(FILE *out, const struct command *cmd)
{
	if (cmd == NULL) {
		print_program(out);
		return;
	}
	(void)fprintf(out, "usage: coffer %s [FLAGS]%s%s\n\n%s\n", cmd->name,
		cmd->operands[0] != '\0' ? " " : "", cmd->operands,
		cmd->summary);
	print_flags(out, "Flags:", cmd->flags);
	print_flags(out, "Flags of every command:", global_flags);
}

void
help_options(FILE *out, const char *scheme, const char *summary,
	const struct option_spec *options)
{
	const struct option_spec *o = options;

	(void)fprintf(out, "%s: %s\n", scheme, summary);
	if (o == NULL || o->name == NULL)
		return;
	(void)fprintf(out, "\nOptions, as -o NAME=VALUE:\n");
	for (; o != NULL && o->name != NULL; o++)
		(void)fprintf(out, "  %-22s %s (%s%s%s)\n", o->name, o->help,
			option_types[o->type],
			o->fallback != NULL ? ", default " : "",
			o->fallback != NULL ? o->fallback : "");
}

/* ---- completion ---- */

static void
print_words(FILE *out, const struct flag *f)
{
	for (; f != NULL && f->name != NULL; f++) {
		(void)fprintf(out, " --%s", f->name);
		if (f->letter != 0)
			(void)fprintf(out, " -%c", f->letter);
	}
}

void
help_bash(FILE *out)
{
	(void)fputs("_coffer() {\n"
		    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} word cmd=\n"
		    "\tlocal i flags operands=1\n"
		    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		    "\t\tword=${COMP_WORDS[i]}\n"
		    "\t\tcase $cmd/$word in\n",
		out);
	for (size_t i = 0; commands[i] != NULL; i++) {
		const char *space = strchr(commands[i]->name, ' ');

		if (space == NULL)
			(void)fprintf(out, "\t\t/%s) cmd=%s ;;\n",
				commands[i]->name, commands[i]->name);
		else
			(void)fprintf(out, "\t\t%.*s/%s) cmd='%s' ;;\n",
				(int)(space - commands[i]->name),
				commands[i]->name, space + 1,
				commands[i]->name);
	}
	(void)fputs("\t\t/key) cmd=key ;;\n\t\tesac\n\tdone\n"
		    "\tcase $cmd in\n\t'') flags='",
		out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (strchr(commands[i]->name, ' ') == NULL)
			(void)fprintf(out, "%s ", commands[i]->name);
	(void)fputs("key", out);
	print_words(out, global_flags);
	(void)fputs("' operands= ;;\n\tkey) flags='", out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (strncmp(commands[i]->name, "key ", 4) == 0)
			(void)fprintf(out, "%s ", commands[i]->name + 4);
	(void)fputs("' operands= ;;\n", out);
	for (size_t i = 0; commands[i] != NULL; i++) {
		(void)fprintf(out, "\t'%s') flags='", commands[i]->name);
		print_words(out, commands[i]->flags);
		print_words(out, global_flags);
		(void)fputs("' ;;\n", out);
	}
	(void)fputs("\tesac\n"
		    "\tif [[ $cur == -* || -z $operands ]]; then\n"
		    "\t\tmapfile -t COMPREPLY < "
		    "<(compgen -W \"$flags\" -- \"$cur\")\n"
		    "\telse\n"
		    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
		    "\tfi\n"
		    "}\n"
		    "complete -o filenames -o default -F _coffer coffer\n",
		out);
}

/* What zsh takes for syntax inside a description. */
static void
print_zsh_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("[]:\\", *text) != NULL)
			(void)fputc('\\', out);
		if (*text == '\'')
			(void)fputs("'\\'", out);
		(void)fputc(*text, out);
	}
}

static void
print_zsh_flags(FILE *out, const struct flag *f)
{
	for (; f != NULL && f->name != NULL; f++) {
		(void)fprintf(out, "\t\t\t'%s--%s[",
			f->kind == FLAG_LIST ? "*" : "", f->name);
		print_zsh_text(out, f->help);
		(void)fputc(']', out);
		if (f->kind == FLAG_TEXT || f->kind == FLAG_LIST)
			(void)fprintf(out, ":%s:_files", f->value);
		(void)fputs("' \\\n", out);
	}
}

void
help_zsh(FILE *out)
{
	(void)fputs("#compdef coffer\n"
		    "_coffer() {\n"
		    "\tlocal -a commands=(\n",
		out);
	for (size_t i = 0; commands[i] != NULL; i++) {
		(void)fprintf(out, "\t\t'%s:", commands[i]->name);
		print_zsh_text(out, commands[i]->summary);
		(void)fputs("'\n", out);
	}
	(void)fputs("\t)\n"
		    "\tlocal cmd=${words[(r)(",
		out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (strchr(commands[i]->name, ' ') == NULL)
			(void)fprintf(out, "%s%s", i > 0 ? "|" : "",
				commands[i]->name);
	(void)fputs("|key)]}\n"
		    "\t[[ $cmd == key ]] && cmd=\"key "
		    "${words[${words[(i)key]}+1]}\"\n"
		    "\tcase $cmd in\n",
		out);
	for (size_t i = 0; commands[i] != NULL; i++) {
		(void)fprintf(out, "\t'%s')\n\t\t_arguments -s \\\n",
			commands[i]->name);
		print_zsh_flags(out, commands[i]->flags);
		print_zsh_flags(out, global_flags);
		(void)fputs("\t\t\t'*:operand:_files' ;;\n", out);
	}
	(void)fputs("\t*) _describe command commands ;;\n"
		    "\tesac\n"
		    "}\n"
		    "_coffer \"$@\"\n",
		out);
}
