/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "handler/control.h"
#include "tests/unit.h"

static char dir[64];
static char path[96];
static struct control *control;

static int asked; /* requests so far */

static char *echo(void *arg UNUSED, const char *line, size_t len)
{
	char *answer;

	asked++;
	return asprintf(&answer, "%.*s\n", (int)len, line) < 0 ? NULL : answer;
}

static void fresh(void)
{
	strcpy(dir, "/tmp/check-control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	ck_assert_int_eq(control_open(path, echo, NULL, &control), 0);
}

static void stale(void)
{
	control_close(control);
	rmdir(dir);
}

static int client_connect(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

/* Returns how many descriptors have news. */
static int turn(int timeout_ms)
{
	struct pollfd watched[CONTROL_WATCHES];
	int n;

	control_watch(control, watched);
	n = poll(watched, CONTROL_WATCHES, timeout_ms);
	control_turn(control, watched);
	return n;
}

static void answers(int client)
{
	char text[4] = "";

	ck_assert_int_eq(write(client, "ab\n", 3), 3);
	while (recv(client, text, 3, MSG_DONTWAIT) < 0)
		ck_assert_int_gt(turn(20000), 0);
	ck_assert_str_eq(text, "ab\n");
}

START_TEST(answers_line_by_line)
{
	int client;

	fresh();
	client = client_connect();
	answers(client);
	answers(client);
	ck_assert_uint_eq(control_deadline(control), UINT64_MAX);
	close(client);
	stale();
}
END_TEST

/* Others have their turn in between, and nothing that was sent is forgotten. */
START_TEST(many_requests_at_once_starve_nobody)
{
	char text[3 * 500];
	size_t got = 0;
	int many;
	int one;

	fresh();
	many = client_connect();
	answers(many);
	one = client_connect();
	answers(one);
	for (size_t i = 0; i < sizeof(text); i += 3)
		memcpy(text + i, "ab\n", 3);
	ck_assert_int_eq(write(many, text, sizeof(text)), sizeof(text));
	ck_assert_int_eq(write(one, "ab\n", 3), 3);
	asked = 0;
	ck_assert_int_gt(turn(20000), 0);
	ck_assert_int_eq(asked, CONTROL_TURN_MOST + 1);
	ck_assert_int_eq(recv(one, text, 3, MSG_DONTWAIT), 3);
	while (got < sizeof(text)) {
		ssize_t n = recv(many, text, sizeof(text) - got, MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		if (got < sizeof(text)) {
			/* nothing new comes: only the deadline says that there is more */
			ck_assert_uint_eq(control_deadline(control), 0);
			(void)turn(0);
		}
	}
	ck_assert_int_eq(asked, 500 + 1);
	close(many);
	close(one);
	stale();
}
END_TEST

START_TEST(the_end_ends_a_line)
{
	char text[8] = "";
	size_t got = 0;
	int client;

	fresh();
	client = client_connect();
	ck_assert_int_eq(write(client, "ab\ncd", 5), 5);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	while (got < 6) {
		ssize_t n = recv(client, text + got, 6 - got, MSG_DONTWAIT);

		ck_assert_int_ne(n, 0);
		got += n > 0 ? (size_t)n : 0;
		if (got < 6)
			ck_assert_int_gt(turn(20000), 0);
	}
	ck_assert_str_eq(text, "ab\ncd\n");
	ck_assert_int_eq(recv(client, text, 1, MSG_DONTWAIT), 0);
	close(client);
	stale();
}
END_TEST

/* Who waits to be accepted is readable all the time. */
START_TEST(out_of_descriptors_it_pauses)
{
	struct rlimit limit;
	struct rlimit none;
	int client;

	fresh();
	client = client_connect();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* poll(2) takes no more descriptors than that either */
	control_turn(control, (struct pollfd[CONTROL_WATCHES]){{.revents = POLLIN}});
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_ne(control_deadline(control), UINT64_MAX);
	if (clock_monotonic_ns() < control_deadline(control)) {
		struct pollfd watched[CONTROL_WATCHES];

		control_watch(control, watched);
		ck_assert(watched[0].fd == -1 || control_deadline(control) == UINT64_MAX);
	}
	while (control_deadline(control) != UINT64_MAX)
		(void)turn(1);
	answers(client);
	close(client);
	stale();
}
END_TEST

UNIT_MAIN("control", answers_line_by_line, many_requests_at_once_starve_nobody, the_end_ends_a_line,
	  out_of_descriptors_it_pauses)
