/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session in this process: memory of PAGES pages with a real userfaultfd, an
 * image, a process that stands for the machine, and threads that touch and remove
 * pages.
 *
 * Each test is a process of its own and uses the one fixture. Faults wait in the
 * kernel until the session starts; pending_wait() and remove_wait() look up that
 * they do, so a test knows what one read will bring. What must not fail is
 * asserted here.
 */
#ifndef PAGODA_TESTS_SESSION_FIXTURE_H
#define PAGODA_TESTS_SESSION_FIXTURE_H

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "handler/session.h"

#define P 4096
#define PAGES 64
#define HOLE 56 /* from here on the image has a hole */

struct fixture {
	unsigned char *memory;
	int uffd;
	int image; /* a memfd */
	struct source *source;
	struct shared *shared;
	pid_t machine;
	int peer;
	int channel;	     /* given to the session; -1 unless a test says otherwise */
	uint64_t timeout_ns; /* the same, 0 */
	bool readahead;	     /* the same, false */
	struct session *session;
	pthread_t thread;
	enum end end;
};

extern struct fixture f;

/* All but the start. Returns false where userfaultfd refuses these features. */
bool fresh(void);
bool fresh_with(uint64_t features);

/* With any descriptor in place of the userfaultfd. */
void fresh_on(int fd);

bool uffd_make(uint64_t features);
void memory_register(void *start, size_t len);

void start(void);
void start_with(bool fill);

/* The session must end, by itself for that reason, or because the machine does. */
void ends_by_itself(enum end end);
void ends_with_the_machine(void);

/* The same for one whose thread has been joined. */
void ended(enum end end);

/* Closes what a test that makes many fixtures would run out of. */
void stale(void);

/* Waits until n faults are queued. */
void pending_wait(unsigned long n);

/* Within some seconds, or the test fails. */
void join(pthread_t thread);

unsigned char *page(size_t i);
int of_image(size_t i);

/* Installs a page (of 0xee) behind the session's back, and wakes nobody. */
void install_quietly(size_t i);

/* A thread that reads one byte. */
struct toucher {
	pthread_t thread;
	volatile unsigned char *at;
	_Atomic int got; /* -1: not yet */
};

void touch(struct toucher *t, const void *at);
void touched(struct toucher *t, int want);

/* A thread that gives a page back, by madvise or by unmapping it, and sleeps until the
 * session has read of it. */
struct remover {
	pthread_t thread;
	void *at;
	bool unmap;
	_Atomic pid_t tid;
};

void remove_start(struct remover *r, void *at, bool unmap);

/* Keeps the thread from running, once it sleeps, until starve_end. */
void starve_begin(const struct remover *r);
void starve_end(void);

/* Waits until its message is queued. */
void remove_wait(const struct remover *r);

#endif
