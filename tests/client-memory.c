/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/client-memory.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/io.h"

#define SMALL_PAGE 4096
#define HUGE_PAGE (2UL << 20)
#define EXIT_LACKING 77

int memory_uffd_new(int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	int device;

	if (fd >= 0)
		return fd;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device >= 0)
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | flags);
	if (fd < 0)
		err(EXIT_LACKING, "userfaultfd");
	close(device);
	return fd;
}

static int uffd_setup(const struct memory_setup *setup)
{
	struct uffdio_api api = {.api = UFFD_API, .features = setup->features};
	int uffd = memory_uffd_new((setup->blocking ? 0 : O_NONBLOCK) |
				   (setup->user_only ? UFFD_USER_MODE_ONLY : 0));

	if (!setup->silent)
		api.features |= UFFD_FEATURE_EVENT_REMOVE;
	if (ioctl(uffd, UFFDIO_API, &api) < 0)
		err(EXIT_LACKING, "UFFDIO_API");
	return uffd;
}

static void region_register(int uffd, void *start, size_t len, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)start, .len = len},
		.mode = UFFDIO_REGISTER_MODE_MISSING | mode,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg) < 0)
		err(1, "UFFDIO_REGISTER");
}

static size_t region_bytes(const struct memory *memory, size_t region)
{
	size_t pages = region + 1 < memory->nregions
			       ? memory->region_pages
			       : memory->pages - region * memory->region_pages;

	return pages * memory->unit;
}

/* A page that nobody may touch stays on both sides, so regions never adjoin. They begin
 * where a huge page could, so that small ones can be passed off as such. */
static unsigned char *region_map(size_t len, bool huge)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (huge ? MAP_HUGETLB : 0);
	unsigned char *start;

	if (!huge) {
		start = mmap(NULL, len + 2 * HUGE_PAGE, PROT_NONE, flags, -1, 0);
		if (start == MAP_FAILED)
			err(1, "mmap of %zu bytes", len);
		start += HUGE_PAGE - (uintptr_t)start % HUGE_PAGE;
		if (mprotect(start, len, PROT_READ | PROT_WRITE))
			err(1, "mprotect of %zu bytes", len);
		/* one page at a time, as a handler gets to see it */
		(void)madvise(start, len, MADV_NOHUGEPAGE);
		return start;
	}
	start = mmap(NULL, len, PROT_READ | PROT_WRITE, flags & ~MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		err(EXIT_LACKING, "mmap of %zu bytes in huge pages", len);
	return start;
}

void memory_map(struct memory *memory, const struct memory_setup *setup)
{
	memory->unit = setup->huge ? HUGE_PAGE : SMALL_PAGE;
	memory->pages = setup->size / memory->unit;
	memory->nregions = setup->regions;
	if (setup->size % memory->unit || memory->pages < memory->nregions || !setup->regions)
		errx(2, "the image does not make %zu regions of whole pages", setup->regions);
	memory->region_pages = memory->pages / memory->nregions;
	memory->starts = calloc(memory->nregions, sizeof(memory->starts[0]));
	if (!memory->starts)
		err(1, "regions");
	memory->uffd = uffd_setup(setup);
	for (size_t i = 0; i < memory->nregions; i++) {
		size_t len = region_bytes(memory, i);

		memory->starts[i] = region_map(len, setup->huge);
		region_register(memory->uffd, memory->starts[i], len, setup->mode);
	}
}

void memory_done(struct memory *memory)
{
	free(memory->starts);
}

static size_t region_of(const struct memory *memory, size_t page)
{
	return MIN(page / memory->region_pages, memory->nregions - 1);
}

unsigned char *memory_page(const struct memory *memory, size_t page)
{
	size_t region = region_of(memory, page);

	return memory->starts[region] + (page - region * memory->region_pages) * memory->unit;
}

size_t memory_run(const struct memory *memory, size_t page)
{
	size_t region = region_of(memory, page);

	return region_bytes(memory, region) / memory->unit - (page - region * memory->region_pages);
}

unsigned char *memory_stray_page(const struct memory *memory)
{
	unsigned char *page = region_map(SMALL_PAGE, false);

	region_register(memory->uffd, page, SMALL_PAGE, 0);
	return page;
}

char *memory_text(const struct memory *memory, const char *generation)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	size_t off = 0;

	if (!out)
		err(1, "text");
	for (size_t i = 0; i < memory->nregions; i++) {
		size_t size = region_bytes(memory, i);

		fprintf(out, "%s{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":%zu,\"offset\":%zu",
			i ? "," : "[", (uintptr_t)memory->starts[i], size, off);
		if (strcmp(generation, "1.12") == 0)
			fprintf(out, ",\"page_size\":%zu", memory->unit);
		if (strcmp(generation, "1.1") != 0)
			fprintf(out, ",\"page_size_kib\":%zu", memory->unit);
		fputc('}', out);
		off += size;
	}
	fputc(']', out);
	fclose(out);
	return text;
}

static int descriptor_make(const struct memory *memory, const char *kind)
{
	int pipes[2];

	if (strcmp(kind, "uffd") == 0)
		return memory->uffd;
	if (strcmp(kind, "raw") == 0)
		return memory_uffd_new(O_NONBLOCK);
	if (strcmp(kind, "file") == 0)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (strcmp(kind, "pipe") == 0 && pipe2(pipes, O_CLOEXEC) == 0)
		return pipes[0];
	errx(2, "no such descriptor: %s", kind);
}

static size_t descriptors_make(const struct memory *memory, const char *list, int fds[SEND_MOST])
{
	char *copy = strdup(list);
	char *rest = copy;
	const char *kind;
	size_t n = 0;

	while ((kind = strsep(&rest, ",")) && *kind && n < SEND_MOST)
		fds[n++] = descriptor_make(memory, kind);
	free(copy);
	return n;
}

int memory_connect(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(name.sun_path))
		errx(2, "%s is too long", path);
	memcpy(name.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		err(1, "connect to %s", path);
	return fd;
}

void memory_send(int conn, const char *bytes, size_t len, const int *fds, size_t nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * SEND_MOST)] = {0};
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	if (sendmsg(conn, &msg, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		err(1, "sendmsg");
}

int memory_hand_over(const struct memory *memory, const struct handover_setup *setup)
{
	char *made = memory_text(memory, setup->generation);
	const char *text = setup->text ? setup->text : made;
	size_t len = strlen(text);
	size_t piece = setup->pieces ? setup->pieces : MAX(len, (size_t)1);
	int fds[SEND_MOST];
	size_t nfds = descriptors_make(memory, setup->send, fds);
	int conn = memory_connect(setup->socket);

	if (len > 0)
		memory_send(conn, text, MIN(piece, len), fds, nfds);
	if (setup->after_first)
		setup->after_first();
	for (size_t sent = piece; sent < len; sent += piece)
		if (send(conn, text + sent, MIN(piece, len - sent), MSG_NOSIGNAL) < 0)
			break;
	for (size_t i = 0; i < nfds; i++)
		if (fds[i] != memory->uffd)
			close(fds[i]);
	free(made);
	return conn;
}
