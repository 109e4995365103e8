/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse has no word for when the kernel and it agree on a protocol.
 *
 * FUSE_HANDLE_KILLPRIV_V2: whoever serves takes set-user-id, set-group-id and
 * security.capability from a file that is written. A view has none of the three: modes
 * are within 0666, chmod and setxattr are refused. So nothing is to be done, and the kernel
 * need not ask for security.capability before each write, which it does otherwise.
 * (Linux 5.11; libfuse 3.14 has no flag for it. An older kernel does not offer it.)
 */
#ifndef PAGODA_FUSEFS_AGREEMENT_H
#define PAGODA_FUSEFS_AGREEMENT_H

#include "base/attributes.h"

struct fuse_session;

/* After the session is mounted, before its first request, which is received and answered
 * on one thread. -errno with words. */
int agreement_extend(struct fuse_session *session) MUST_CHECK;

#endif
