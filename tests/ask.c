/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask SOCKET LINE...: sends the lines to a unix stream socket in one piece and prints as
 * many lines of answer. With "-" for the only line it sends standard input as it is,
 * and prints what comes until the end.
 *
 * Exit code 1: no such socket, or fewer answers than lines.
 */
#include "config.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static int socket_connect(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(name.sun_path))
		errx(1, "%s: no socket", path);
	strcpy(name.sun_path, path);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		err(1, "%s", path);
	return fd;
}

static void lines_send(int fd, char **lines, int n)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		err(1, "memory");
	for (int i = 0; i < n; i++)
		fprintf(out, "%s\n", lines[i]);
	fclose(out);
	if (io_write_full(fd, text, len) < 0)
		err(1, "send");
}

/* Prints until that many lines have come, or with a negative number until the end. */
static void answers_print(int fd, int lines)
{
	char text[4096];
	ssize_t n;

	while (lines != 0 && (n = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			lines -= text[i] == '\n';
		fwrite(text, 1, (size_t)n, stdout);
	}
	if (lines > 0)
		errx(1, "%d answers are missing", lines);
}

static void input_send(int fd)
{
	char text[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, text, sizeof(text))) > 0)
		if (io_write_full(fd, text, (size_t)n) < 0)
			err(1, "send");
	shutdown(fd, SHUT_WR);
}

int main(int argc, char **argv)
{
	AUTO_CLOSE int fd = -1;

	if (argc < 3)
		errx(2, "usage: ask SOCKET LINE...");
	fd = socket_connect(argv[1]);
	if (argc == 3 && strcmp(argv[2], "-") == 0) {
		input_send(fd);
		answers_print(fd, -1);
		return 0;
	}
	lines_send(fd, argv + 2, argc - 2);
	answers_print(fd, argc - 2);
	return 0;
}
