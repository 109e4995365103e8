/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/exit.h"

#include <errno.h>
#include <stddef.h>

#include "base/attributes.h"

static const struct {
	int err;
	enum exit_code code;
} codes[] = {
	{0, EXIT_DONE},
	{-EBADMSG, EXIT_DAMAGE},
	{-ENOENT, EXIT_MISSING},
	{-EBUSY, EXIT_BUSY},
	{-EADDRINUSE, EXIT_BUSY},
	{-EINVAL, EXIT_REFUSED},
	{-EEXIST, EXIT_REFUSED},
	{-ENAMETOOLONG, EXIT_REFUSED},
	{-EFBIG, EXIT_REFUSED},
	{-ECANCELED, EXIT_REFUSED},
	{-ENOTEMPTY, EXIT_REFUSED},
	{-EROFS, EXIT_REFUSED},
	{-ENOSPC, EXIT_SPACE},
	{-EDQUOT, EXIT_SPACE},
	{-EPROTONOSUPPORT, EXIT_TOO_NEW},
};

enum exit_code exit_code(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].err == err)
			return codes[i].code;
	return EXIT_FAILED;
}
