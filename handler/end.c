/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "handler/end.h"

static const char *const names[END_COUNT] = {
	[END_NONE] = "none",
	[END_MACHINE_GONE] = "machine-gone",
	[END_FILLED] = "filled",
	[END_STOPPED] = "stopped",
	[END_HANDOVER_REFUSED] = "hand-over-refused",
	[END_DESCRIPTOR_ENDED] = "descriptor-ended",
	[END_SOURCE_FAILED] = "source-failed",
	[END_UNEXPECTED_EVENT] = "unexpected-event",
	[END_FAULT_OUTSIDE] = "fault-outside-regions",
	[END_INSTALL_FAILED] = "install-failed",
	[END_OUT_OF_MEMORY] = "out-of-memory",
	[END_WORKER_DIED] = "worker-died",
};

const char *end_name(enum end end)
{
	return (unsigned int)end < END_COUNT ? names[end] : "unknown";
}

bool end_is_good(enum end end)
{
	return end == END_MACHINE_GONE || end == END_FILLED || end == END_STOPPED;
}
