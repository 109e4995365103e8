# SPDX-License-Identifier: Apache-2.0
dist_man_MANS += docs/pagoda.1 docs/pagoda-store.5 docs/pagodafs.8
EXTRA_DIST += docs/architecture.md docs/performance.md
dist_man_MANS += docs/pagoda-handler.8
