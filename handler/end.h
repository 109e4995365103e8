/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the service of a machine ended. Each end has a name that logs and
 * counters show; pagoda-handler.8 explains them. Pure.
 */
#ifndef PAGODA_HANDLER_END_H
#define PAGODA_HANDLER_END_H

#include <stdbool.h>

enum end {
	END_LEFT = -1, /* it goes on, but in another thread: touch nothing (crew.h) */
	END_NONE,      /* it goes on */
	END_MACHINE_GONE,
	END_FILLED,
	END_STOPPED,
	/* from here on the machine cannot be served: --on-failure applies */
	END_HANDOVER_REFUSED,
	END_DESCRIPTOR_ENDED,
	END_SOURCE_FAILED,
	END_UNEXPECTED_EVENT,
	END_FAULT_OUTSIDE,
	END_INSTALL_FAILED,
	END_OUT_OF_MEMORY,
	END_WORKER_DIED,
	END_COUNT,
};

/* Also for a number that is none of them, as a broken worker might leave. */
const char *end_name(enum end end);

/* Whether the machine needs us no more. */
bool end_is_good(enum end end);

#endif
