/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/vmm/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/units.h"

#define WORDS_MAX (2 + COMMAND_ARGUMENTS_MAX)

static int run_snapshot(struct machine *machine, const char *const *arguments)
{
	return machine_snapshot(machine, arguments[0], arguments[1]);
}

static int run_diff(struct machine *machine, const char *const *arguments)
{
	return machine_diff(machine, arguments[0], arguments[1]);
}

static int run_balloon(struct machine *machine, const char *const *arguments)
{
	uint64_t pages;
	int r = units_parse_number(arguments[0], UINT32_MAX, &pages);

	if (r < 0)
		return fail_with(r, "balloon wants a number of pages, not '%s'", arguments[0]);
	return machine_set_balloon(machine, pages);
}

static const struct verb {
	const char *name;
	size_t arguments;
	int (*run)(struct machine *machine, const char *const *arguments);
} verbs[] = {
	{"snapshot", 2, run_snapshot},
	{"diff", 2, run_diff},
	{"balloon", 1, run_balloon},
};

static const struct verb *find_verb(const char *name, size_t arguments)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0 && verbs[i].arguments == arguments)
			return &verbs[i];
	return NULL;
}

/* Parts text in place; one word more than fits says that there are too many. */
static size_t split(char *text, char *words[WORDS_MAX + 1])
{
	size_t n = 0;
	char *rest = NULL;

	for (char *word = strtok_r(text, " ", &rest); word && n <= WORDS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	return n;
}

int command_init(struct command *command, const char *text)
{
	char *words[WORDS_MAX + 1];
	const struct verb *verb = NULL;
	size_t n;

	*command = (struct command){.words = strdup(text)};
	if (!command->words)
		return -ENOMEM;
	n = split(command->words, words);
	if (n >= 2)
		verb = find_verb(words[1], n - 2);
	if (!verb || units_parse_number(words[0], UINT64_MAX, &command->beat) < 0) {
		command_done(command);
		return fail_with(-EINVAL, "'%s' is not a beat and a command", text);
	}
	command->run = verb->run;
	for (size_t i = 2; i < n; i++)
		command->arguments[i - 2] = words[i];
	return 0;
}

void command_done(struct command *command)
{
	free(command->words);
	*command = (struct command){0};
}

int command_run(const struct command *command, struct machine *machine)
{
	return command->run(machine, command->arguments);
}
