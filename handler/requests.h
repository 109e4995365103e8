/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked on the control socket, and the answers: pagoda-handler(8),
 * CONTROL SOCKET. The keeper's thread.
 */
#ifndef PAGODA_HANDLER_REQUESTS_H
#define PAGODA_HANDLER_REQUESTS_H

#include <stddef.h>

/* A control_answer_fn of a struct keeper. */
char *request_answer(void *keeper, const char *line, size_t len);

#endif
