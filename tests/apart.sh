# SPDX-License-Identifier: Apache-2.0
# For a script that mounts over places of the system: sourced before functions.sh,
# it begins the script anew in a mount namespace of its own.
[ "${PAGODA_APART:-}" ] || {
	[ "$(id -u)" = 0 ] || { echo "SKIP: needs root" >&2; exit 77; }
	unshare --mount --propagation private true 2>/dev/null ||
		{ echo "SKIP: needs a mount namespace" >&2; exit 77; }
	PAGODA_APART=1 exec unshare --mount --propagation private sh "$0"
}
unset PAGODA_APART
